"""One task, in the process forked for it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import types
from typing import Any, Callable, NoReturn, Optional

from taskgroup_harness import covalent_context, failure, protocol, transportable
from taskgroup_harness.failure import TaskFailed

# What the process ends with where not even a report could be written (sysexits.h, EX_SOFTWARE).
_NO_REPORT = 70


def run(request: dict[str, Any], control: socket.socket, streams: list[int]) -> NoReturn:
    """Turn this fork into the task: run it, leave result and report, and end.

    It ends with os._exit: threads and handlers that the function leaves behind
    must not hold the group, nor run the end of the harness's own process.
    """
    code = _NO_REPORT
    try:
        _separate(request, control, streams)
        failed = _outcome(request)
        if failed is not None:
            code = failed.code
            with contextlib.suppress(Exception):
                _print_failure(failed)
        else:
            code = 0
        _flush()
        failure.write_report(request["report"], failed)
    except BaseException as err:
        # The fork must never return into the harness's loop.
        with contextlib.suppress(BaseException):
            os.write(2, f"[taskgroup] the task's report could not be written: {err!r}\n".encode())
        code = _NO_REPORT
    finally:
        os._exit(code)


def _separate(request: dict[str, Any], control: socket.socket, streams: list[int]) -> None:
    """Cut the fork loose from the harness: session, descriptors, directory, environment, signals."""
    os.setsid()
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    protocol.send(control, {"event": "started", "pid": os.getpid()})
    control.detach()
    os.closerange(3, max(256, *streams) + 1)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.chdir(request["directory"])
    os.environ.update(request["environment"])
    sys.argv = [""]
    # A library that starts Python anew must not start the harness.
    sys.modules["__main__"] = types.ModuleType("__main__")
    for stream in (sys.stdout, sys.stderr):
        # Lines reach the pod's log as they are printed, whatever the locale.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _outcome(request: dict[str, Any]) -> Optional[TaskFailed]:
    """Run the task and leave its result; return why it failed, or None."""
    try:
        result = _call(request)
        _keep(result, request["output"])
    except TaskFailed as failed:
        return failed
    return None


def _call(request: dict[str, Any]) -> Any:
    # Most tasks have no hooks, and then need not pay for what hooks import.
    given: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    if request["hooks"]["path"]:
        from taskgroup_harness import hooks

        steps = hooks.read(request["hooks"]["path"], request["hooks"]["name"])
        given = hooks.before(steps, _load)
    function = _load_file(request["function"])
    args = [_load_file(item) for item in request["args"]]
    kwargs = {name: _load_file(item) for name, item in request["kwargs"].items()}
    kwargs.update(given)
    with covalent_context.of(request["dispatch"], request["node"]):
        result = _invoke(function, args, kwargs)
        if steps:
            hooks.after(steps, _load)
    return result


def _invoke(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except SystemExit as err:
        raise _exited(err) from err
    except BaseException as err:
        raise TaskFailed(failure.TASK_ERROR, failure.words(err), err) from err


def _exited(err: SystemExit) -> TaskFailed:
    """Give sys.exit its meaning in Python: None is 0, a number itself, anything else is text and 1."""
    code = err.code
    if code is None:
        code = 0
    elif not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    said = "" if err.code is None else repr(err.code)
    message = f"sys.exit({said}) was called before the function returned: exit code {code & 255}"
    return TaskFailed(failure.EXIT_CODE, message, code=code & 255)


def _load_file(item: dict[str, str]) -> Any:
    return _load(lambda: transportable.load(item["path"]), item["name"])


def _load(read: Callable[[], Any], name: str) -> Any:
    """Unpickle something of the user's; raise TaskFailed in words that name it."""
    try:
        return read()
    except transportable.VersionMismatchError as err:
        ours = ".".join(transportable.PYTHON_VERSION.split(".")[:2])
        theirs = ".".join(str(err).split(".")[:2])
        raise TaskFailed(
            failure.PYTHON_VERSION_MISMATCH,
            f"{name} was pickled with Python {theirs}, the image has {ours}: "
            f"use an image with Python {theirs} or dispatch from {ours}",
        ) from err
    except transportable.NotTransportableError as err:
        raise TaskFailed(failure.INPUT_INVALID, f"{name}: not a Covalent TransportableObject: {err}") from err
    except ModuleNotFoundError as err:
        message = f"{name}: the image has no module {err.name!r}: add it to the image, or as a pip dependency"
        raise TaskFailed(failure.INPUT_INVALID, message, err) from err
    except SystemExit as err:
        raise _exited(err) from err
    except BaseException as err:
        message = f"{name}: it cannot be unpickled: {failure.words(err)}"
        raise TaskFailed(failure.INPUT_INVALID, message, err) from err


def _keep(result: Any, path: str) -> None:
    try:
        transportable.dump(result, path)
    except OSError as err:
        message = f"the result could not be written to the work directory: {err.strerror or err}"
        raise TaskFailed(failure.OUTPUT_UPLOAD_FAILED, message, err) from err
    except BaseException as err:
        kind = type(result)
        message = f"the result, a {kind.__module__}.{kind.__qualname__}, cannot be pickled: {failure.words(err)}"
        raise TaskFailed(failure.OUTPUT_INVALID, message, err) from err


def _print_failure(failed: TaskFailed) -> None:
    text = failed.traceback() or f"{failed.reason}: {failed.message}\n"
    if failed.reason != failure.EXIT_CODE:
        sys.stderr.write(text)


def _flush() -> None:
    """Bring out what Python and, where it is in use, the C library still buffer: os._exit would drop it."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            stream.flush()
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None:
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).fflush(None)
