"""The process that the runner starts once, and that forks for every task."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
from typing import Any

import cloudpickle

from taskgroup_harness import protocol, task, transportable


def serve(control_fd: int) -> int:
    """Run tasks, one at a time, until the runner closes the socket; return the exit code."""
    control = socket.socket(fileno=control_fd)
    # What is imported by now is shared by all forks as long as the collector leaves its pages alone.
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
            task.run(request, control, streams)
        for fd in streams:
            os.close(fd)
        protocol.send(control, _ended(pid))


def _ended(pid: int) -> dict[str, Any]:
    """Wait for a task's process, end what it left in its group, and tell how it ended.

    The group is killed before its leader is reaped: until then nobody else can
    have its number.
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
