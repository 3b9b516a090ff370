"""What may go wrong with a task, and in which words the runner is told."""

from __future__ import annotations

import json
import os
import traceback
import types
from typing import Optional

# The reasons are those of contract/task.go.
TASK_ERROR = "TaskError"
EXIT_CODE = "ExitCode"
INPUT_INVALID = "InputInvalid"
OUTPUT_INVALID = "OutputInvalid"
OUTPUT_UPLOAD_FAILED = "OutputUploadFailed"
HOOK_FAILED = "HookFailed"
PYTHON_VERSION_MISMATCH = "PythonVersionMismatch"

# Bounds of what a report carries, in bytes of UTF-8.
MAX_MESSAGE = 2 << 10
MAX_TRACEBACK = 64 << 10


class TaskFailed(Exception):  # noqa: N818 - it is an outcome, not an error of the harness
    """A task that ends FAILED for a known reason."""

    def __init__(self, reason: str, message: str, cause: Optional[BaseException] = None, code: int = 1) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.cause = cause
        self.code = code

    def traceback(self) -> str:
        """Return the cause's traceback without the frames of the harness."""
        if self.cause is None:
            return ""
        return "".join(traceback.format_exception(type(self.cause), self.cause, user_frames(self.cause)))


def user_frames(err: BaseException) -> Optional[types.TracebackType]:
    """Return an exception's traceback from the first frame that is not the harness's."""
    here = os.path.dirname(__file__)
    trace = err.__traceback__
    while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == here:
        trace = trace.tb_next
    return trace


def words(err: BaseException) -> str:
    """Return an exception as Python prints it last: ``ValueError: boom``."""
    return "".join(traceback.format_exception_only(type(err), err)).strip()


def bounded(text: str, limit: int) -> str:
    """Cut text to a number of bytes, keeping its end: that is where a traceback says most."""
    raw = text.encode("utf-8", errors="backslashreplace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    half = (limit - 8) // 2
    return raw[:half].decode("utf-8", errors="ignore") + " … " + raw[-half:].decode("utf-8", errors="ignore")


def write_report(path: str, failed: Optional[TaskFailed] = None) -> None:
    """Leave a task's outcome where the runner reads it, whole or not at all."""
    report = {"outcome": "completed"}
    if failed is not None:
        report = {
            "outcome": "failed",
            "reason": failed.reason,
            "message": bounded(failed.message, MAX_MESSAGE),
            "traceback": bounded(failed.traceback(), MAX_TRACEBACK),
        }
    part = path + ".part"
    with open(part, "w", encoding="utf-8") as out:
        json.dump(report, out)
    os.replace(part, path)
