"""The messages between the runner and the harness.

JSON lines over a stream socket, one object a line. The runner sends a request
with two descriptors attached (SCM_RIGHTS), the write ends of the task's stdout
and stderr. The harness sends events::

    {"event": "ready", "protocol": 1, "python": "3.11.7", "cloudpickle": "3.1.2"}
    {"event": "unavailable", "message": "why no task can run in this image"}
    {"event": "started", "pid": 42}     from the task's own process, in its own session
    {"event": "ended", "pid": 42, "code": 0, "signal": 0, "peakMemoryBytes": 1, "cpuSeconds": 0.1}

A request::

    {"node": 7, "dispatch": "…", "function": file, "hooks": file, "args": [file],
     "kwargs": {name: file}, "directory": path, "environment": {name: value},
     "output": path, "report": path, "packages": path, "seconds": 3.5}
                                           with file = {"path": …, "name": …}

``packages`` is the folder of the environment that pip hooks create. ``seconds`` is the
time that the task may take, or 0. The arguments of main.py are the modules to preload.
"""

from __future__ import annotations

import json
import socket
from typing import Any, Optional

VERSION = 1
_STREAMS = 2


def send(control: socket.socket, message: dict[str, Any]) -> None:
    """Send one message. Raises OSError if the runner has closed the socket."""
    control.sendall(json.dumps(message).encode("utf-8") + b"\n")


def receive(control: socket.socket) -> Optional[tuple[dict[str, Any], list[int]]]:
    """Return the next request and its descriptors, or None once the runner closed the socket."""
    received, fds = bytearray(), []
    while not received.endswith(b"\n"):
        data, more, _, _ = socket.recv_fds(control, 1 << 16, _STREAMS)
        if not data:
            return None
        received += data
        fds += more
    return json.loads(received.decode("utf-8")), fds
