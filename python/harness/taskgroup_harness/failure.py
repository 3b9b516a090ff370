"""The reasons and messages with which a task fails, and its report to the runner."""

from __future__ import annotations

import contextlib
import errno
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

# Bounds of a report's texts, in bytes of UTF-8.
MAX_MESSAGE = 2 << 10
MAX_TRACEBACK = 64 << 10

# A process that could not write its report exits with this code (sysexits.h, EX_SOFTWARE) and
# begins a line of its stderr with this text; runner/group/function.go reads both.
UNREPORTED = 70
UNREPORTED_LINE = "[taskgroup] the outcome of the task could not be reported: "

# The size of a report is at most _MAX_REPORT bytes. The reserve has room for the folder's entry, too.
_MAX_REPORT = 128 << 10
_RESERVED = 2 * _MAX_REPORT
_FULL = (errno.ENOSPC, errno.EDQUOT)

# Functions may replace attributes of modules; a report has to be written all the same.
_encode = json.JSONEncoder().encode


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


def exception_text(err: BaseException) -> str:
    """Return an exception as Python prints it last: ``ValueError: boom``."""
    return "".join(traceback.format_exception_only(type(err), err)).strip()


def storage_text(what: str, err: OSError) -> str:
    """Return the message for a file of the work directory that could not be written."""
    if err.errno in _FULL:
        return (
            f"the work volume is full: {what} could not be written: "
            "raise spec.pod.resources.limits for ephemeral-storage, or write less"
        )
    return f"{what} could not be written to the work directory: {err.strerror or err}"


def bounded(text: str, limit: int) -> str:
    """Cut text to a number of bytes; keep its end, which is the most useful part of a traceback."""
    raw = text.encode("utf-8", errors="backslashreplace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    half = (limit - 8) // 2
    return raw[:half].decode("utf-8", errors="ignore") + " … " + raw[-half:].decode("utf-8", errors="ignore")


class Reserve:
    """Disk space for a report: a task may fill the disk and must still report that.

    One file serves all tasks. Space that each report allocates would cost milliseconds.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "reserve")
        self.allocate()

    def allocate(self) -> None:
        """Allocate the space again, if a task needed it; a disk that is full is left for the task to report."""
        if os.path.exists(self._path):
            return
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, bytes(_RESERVED))
            finally:
                os.close(file)

    def release(self) -> None:
        """Free the space."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def write_report(path: str, failed: Optional[TaskFailed] = None, reserve: Optional[Reserve] = None) -> None:
    """Write a task's outcome, whole or not at all, for the runner (runner/python/message.go).

    If the disk is full, the reserve is released. Raises OSError if the report cannot be written.
    """
    raw = _report(failed)
    try:
        _write(path, raw)
    except OSError:
        if reserve is None:
            raise
        reserve.release()
        _write(path, raw)


def _write(path: str, raw: bytes) -> None:
    part = path + ".part"
    report = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        written = 0
        while written < len(raw):
            written += os.write(report, raw[written:])
    finally:
        os.close(report)
    os.replace(part, path)


def _report(failed: Optional[TaskFailed]) -> bytes:
    if failed is None:
        return _encode({"outcome": "completed"}).encode("ascii")
    trace = ""
    # The exception is the user's, and so may be what formatting it calls.
    with contextlib.suppress(Exception):
        trace = failed.traceback()
    limit = MAX_TRACEBACK
    while True:
        report = {
            "outcome": "failed",
            "reason": failed.reason,
            "message": bounded(failed.message, MAX_MESSAGE),
            "traceback": bounded(trace, limit),
            "exitCode": failed.code,
        }
        raw = _encode(report).encode("ascii")
        if len(raw) <= _MAX_REPORT:
            return raw
        # JSON has up to six bytes for each one of the text.
        limit //= 2
