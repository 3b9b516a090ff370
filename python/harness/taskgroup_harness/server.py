"""The process that the runner starts once, and that forks for every task."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Any

import cloudpickle

from taskgroup_harness import failure, protocol, task, transportable


def serve(control_fd: int, preload: Iterable[str] = ()) -> int:
    """Run tasks, one at a time, until the runner closes the socket; return the exit code.

    The modules to preload are imported before the first task, so that all tasks share
    them. A module that cannot be imported is a line in the log: each task that needs it
    imports it again, and reports the error.
    """
    control = socket.socket(fileno=control_fd)
    # The runner starts the harness in a folder of the work directory.
    reserve = failure.Reserve(os.getcwd())
    for name in preload:
        _import(name)
    # All forks share the modules that are imported by now, as long as the collector does not write to them.
    gc.disable()
    gc.freeze()
    ready = {"event": "ready", "protocol": protocol.VERSION}
    ready.update(python=transportable.PYTHON_VERSION, cloudpickle=cloudpickle.__version__)
    protocol.send(control, ready)
    while True:
        received = protocol.receive(control)
        if received is None:
            return 0
        request, streams = received
        pid = os.fork()
        if pid == 0:
            gc.enable()
            task.run(request, control, streams, reserve)
        for fd in streams:
            os.close(fd)
        protocol.send(control, _ended(pid))
        reserve.allocate()


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except BaseException as err:
        print(f"[taskgroup] preloading {name}: {failure.exception_text(err)}", file=sys.stderr, flush=True)


def _ended(pid: int) -> dict[str, Any]:
    """Wait for a task's process, kill the rest of its process group, and return the event with its exit.

    The group is killed before its leader is reaped: until then no other process
    can have its number.
    """
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return {
        "event": "ended",
        "pid": pid,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "peakMemoryBytes": usage.ru_maxrss * 1024,
        "cpuSeconds": usage.ru_utime + usage.ru_stime,
    }
