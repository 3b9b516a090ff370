"""What the bridge answers when it does not do what it was asked."""

from __future__ import annotations

from typing import Any

from covalent._shared_files.exceptions import TaskCancelledError, TaskRuntimeError


class BridgeError(RuntimeError):
    """An error of the executor. Its text is all that a user of Covalent sees.

    The dispatcher stores str(error) and nothing else (covalent_dispatcher/_core/runner_ng.py).

    Attributes:
        code: one of the codes in executor/errors.go, or "Bridge" where the program itself is at fault.
        retry: whether the same request may succeed later.
    """

    def __init__(self, message: str, code: str = "Bridge", retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry


def error_of(body: Any) -> Exception:
    """Make the exception of an ErrorBody, {"code": str, "message": str, "retry": bool}.

    Cancelled is Covalent's TaskCancelledError, which makes nodes CANCELLED instead of FAILED, and TaskFailed the
    TaskRuntimeError that covalent/executor/base.py, execute, takes for a function that raised. A code that is not known
    is a BridgeError like the others, since codes are added.
    """
    if not isinstance(body, dict):
        return BridgeError(f"the bridge answered {str(body)[:200]!r}, which is no error of its own")
    code, message = str(body.get("code", "Internal")), str(body.get("message", ""))
    if code == "Cancelled":
        return TaskCancelledError(message)
    if code == "TaskFailed":
        return TaskRuntimeError(message)
    return BridgeError(message, code, bool(body.get("retry")))
