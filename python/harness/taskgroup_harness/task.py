"""One task, in the process forked for it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import time
import types
from typing import Any, Callable, NoReturn, Optional

from taskgroup_harness import covalent_context, exiting, failure, protocol, script, text, transportable
from taskgroup_harness.failure import TaskFailed

_STDERR = 2

# The function may replace attributes of modules; these decide whose result it is.
_getpid, _exit = os.getpid, os._exit

# What to do about results that a function did not compute yet.
_ADVICE = {
    types.CoroutineType: "{name} is an async function: call it with asyncio.run(...) in the task",
    types.AsyncGeneratorType: "{name} is an async generator: collect its items with asyncio.run(...) in the task",
    types.GeneratorType: "{name} is a generator: return list(...) of it",
}


class _Step:
    """What the harness does at the moment: its reason is that of exceptions that nothing else handles."""

    reason = failure.HOOK_FAILED
    name = ""

    def begin(self, reason: str, name: str) -> None:
        self.reason, self.name = reason, name


def run(request: dict[str, Any], control: socket.socket, streams: list[int], reserve: failure.Reserve) -> NoReturn:
    """Turn this fork into the task: run it, write result and report, and end.

    It ends with os._exit, since this process must not run the end of the harness's own.
    """
    code = failure.UNREPORTED
    try:
        _separate(request, control, streams)
        code = _perform(request, reserve)
    except BaseException as err:
        # The fork must never return into the harness's loop.
        with contextlib.suppress(BaseException):
            os.write(_STDERR, f"{failure.UNREPORTED_LINE}{_unreported(err)}\n".encode())
    finally:
        _exit(code)


def _unreported(err: BaseException) -> str:
    if isinstance(err, OSError):
        return failure.storage_text("the report", err)
    return failure.exception_text(err)


def _separate(request: dict[str, Any], control: socket.socket, streams: list[int]) -> None:
    """Cut the fork loose from the harness: session, descriptors, directory, environment, signals."""
    os.setsid()
    os.dup2(streams[0], 1)
    os.dup2(streams[1], _STDERR)
    protocol.send(control, {"event": "started", "pid": os.getpid()})
    control.detach()
    os.closerange(3, max(256, *streams) + 1)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _print_stacks()
    os.chdir(request["directory"])
    os.environ.update(request["environment"])
    sys.argv = [""]
    script.replace_main()
    for stream in (sys.stdout, sys.stderr):
        # Lines reach the pod's log as they are printed, whatever the locale.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _print_stacks() -> None:
    """Print the stacks of all threads before a fatal signal ends the task, also that of a deadline.

    Without them, neither a crash nor a task that hangs shows where. A handler of SIGTERM that the
    function installs replaces the one here. Forks do not have it: a pool terminates its workers
    with SIGTERM when it is closed.
    """
    faulthandler.enable(file=_STDERR, all_threads=True)
    faulthandler.register(signal.SIGTERM, file=_STDERR, all_threads=True, chain=True)
    os.register_at_fork(after_in_child=_restore_sigterm)


def _restore_sigterm() -> None:
    # The original disposition, which this restores, must not replace a handler of the function.
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        faulthandler.unregister(signal.SIGTERM)


def _perform(request: dict[str, Any], reserve: failure.Reserve) -> int:
    """Run the task, report its outcome and end its threads; return the exit code."""
    began = time.monotonic()
    failed = _outcome(request)
    if failed is not None:
        with contextlib.suppress(Exception):
            _print_failure(failed)
    exiting.flush_streams()
    failure.write_report(request["report"], failed, reserve)
    limit = request["seconds"]
    exiting.finish(limit - (time.monotonic() - began) if limit else exiting.LIMIT)
    return 0 if failed is None else failed.code


def _outcome(request: dict[str, Any]) -> Optional[TaskFailed]:
    """Run the task and write its result; return why it failed, or None.

    Every exception is handled here: what the harness itself raises has the reason of the step.
    """
    task, step, failed = _getpid(), _Step(), None
    try:
        result = _call(request, step)
        if _getpid() == task:
            step.begin(failure.OUTPUT_UPLOAD_FAILED, "writing the result")
            _keep(result, request["output"])
    except TaskFailed as err:
        failed = err
    except SystemExit as err:
        failed = _exited(err)
    except BaseException as err:
        failed = TaskFailed(step.reason, f"{step.name}: {failure.exception_text(err)}", err)
    if _getpid() != task:
        _end_fork(failed)
    return failed


def _end_fork(failed: Optional[TaskFailed]) -> NoReturn:
    """End a process that the function forked and that came back from the function.

    Only the task's own process has a result and a report.
    """
    if failed is not None and failed.reason != failure.EXIT_CODE:
        exiting.print_line(f"process {_getpid()}, which the function forked, ended: {failed.message}")
    exiting.flush_streams()
    _exit(0 if failed is None else failed.code)


def _call(request: dict[str, Any], step: _Step) -> Any:
    with covalent_context.of(request["dispatch"], request["node"]):
        # Most groups have no hooks, and then need not pay for the imports of hooks.
        if os.path.isdir(request["packages"]):
            from taskgroup_harness import packages

            step.begin(failure.HOOK_FAILED, "the packages of the group's pip hooks")
            packages.activate(request["packages"])
        given: dict[str, Any] = {}
        steps: dict[str, Any] = {}
        if request["hooks"]["path"]:
            from taskgroup_harness import hooks

            step.begin(failure.HOOK_FAILED, "the hooks")
            steps = hooks.read(request["hooks"]["path"], request["hooks"]["name"])
            given = hooks.before(steps, _load, request["packages"])
        step.begin(failure.INPUT_INVALID, "loading the function and its arguments")
        function = _load_file(request["function"])
        args = [_load_file(item) for item in request["args"]]
        kwargs = {name: _load_file(item) for name, item in request["kwargs"].items()}
        kwargs.update(given)
        result = _invoke(function, args, kwargs)
        if steps:
            step.begin(failure.HOOK_FAILED, "the hooks after the function")
            hooks.after(steps, _load)
    return result


def _invoke(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except SystemExit as err:
        raise _exited(err) from err
    except BaseException as err:
        raise TaskFailed(failure.TASK_ERROR, failure.exception_text(err), err) from err


def _exited(err: SystemExit) -> TaskFailed:
    """Give sys.exit its meaning in Python: None is 0, a number itself, anything else is text and 1."""
    code = err.code
    if code is None:
        code = 0
    elif not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    argument = "" if err.code is None else repr(err.code)
    message = f"sys.exit({argument}) was called before the function returned: exit code {code & 255}"
    return TaskFailed(failure.EXIT_CODE, message, code=code & 255)


def _load_file(item: dict[str, str]) -> Any:
    return _load(lambda: transportable.load(item["path"]), item["name"])


def _load(read: Callable[[], Any], name: str) -> Any:
    """Unpickle an object of the user's; raise TaskFailed with a message that names it."""
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
        message = f"{name}: it cannot be unpickled: {failure.exception_text(err)}"
        raise TaskFailed(failure.INPUT_INVALID, message, err) from err


def _keep(result: Any, path: str) -> None:
    try:
        transportable.dump(result, path)
    except transportable.StorageError as err:
        raise TaskFailed(failure.OUTPUT_UPLOAD_FAILED, failure.storage_text("the result", err), err) from err
    except BaseException as err:
        advice = _ADVICE.get(type(result))
        why = advice.format(name=result.__qualname__) if advice else failure.exception_text(err)
        message = f"the result, a {text.type_name(result)}, cannot be pickled: {why}"
        raise TaskFailed(failure.OUTPUT_INVALID, message, err) from err


def _print_failure(failed: TaskFailed) -> None:
    trace = failed.traceback() or f"{failed.reason}: {failed.message}\n"
    if failed.reason != failure.EXIT_CODE:
        sys.stderr.write(trace)
