"""The bridge's process: found, started on first use, and gone with the dispatcher.

There is one for each process that uses the plugin. Its standard input is a pipe that
only that process holds, and it stops when the pipe closes (`--until-eof`), so that not
even a SIGKILL of the dispatcher leaves it behind. It keeps no state: one that died is
started again by the next request.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Optional

from .errors import BridgeError

# BINARY names the program, SOCKET a bridge that somebody else runs, CALLBACK_HOSTS who may be told of ends (push mode).
BINARY = "TASKGROUP_BRIDGE"
SOCKET = "TASKGROUP_BRIDGE_SOCKET"
CALLBACK_HOSTS = "TASKGROUP_BRIDGE_CALLBACK_HOSTS"

START_SECONDS = 20.0
# A bridge that is told to stop may have to cancel groups first (cancel_on_stop, executor/bridge/open.go).
STOP_SECONDS = 45.0
# A Unix address has room for 107 bytes on Linux; the rest is "/taskgroup-XXXXXXXX/bridge.sock".
_LONGEST_FOLDER = 107 - 32


def find_binary() -> str:
    """Return the path of the program `taskgroup`: $TASKGROUP_BRIDGE, the wheel's own, or the PATH's.

    Raises:
        BridgeError: there is none, or $TASKGROUP_BRIDGE is no program.
    """
    named = os.environ.get(BINARY)
    if named:
        found = shutil.which(named)
        if found is None:
            raise BridgeError(f"${BINARY} is {named!r}, which is no program that can be run")
        return found
    own = Path(__file__).with_name("bin") / "taskgroup"
    found = shutil.which(str(own)) or shutil.which("taskgroup")
    if found is None:
        raise BridgeError(
            "the program taskgroup is not installed: put it on the dispatcher's PATH, name it in "
            f"${BINARY}, or install this package's wheel for this platform, which has it"
        )
    return found


def _new_folder() -> Path:
    """Make a folder for the socket, of mode 0700: whoever reaches the socket acts as this user."""
    parent = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = os.path.isdir(parent) and os.access(parent, os.W_OK) and len(os.fsencode(parent)) <= _LONGEST_FOLDER
    return Path(tempfile.mkdtemp(prefix="taskgroup-", dir=parent if usable else None))


class Process:
    """The bridge of this process. All methods may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._owner = 0
        self._folder = Path()

    @property
    def pid(self) -> Optional[int]:
        """The process ID of the bridge; None while there is none."""
        child = self._child
        return child.pid if child is not None and self._owner == os.getpid() and child.poll() is None else None

    @property
    def log(self) -> Path:
        """The file with what the bridge wrote, a line of JSON for each event."""
        return self._folder / "bridge.log"

    def running(self) -> Optional[str]:
        """Return the socket of a bridge that runs, without waiting; None where start is to be called."""
        named = os.environ.get(SOCKET)
        if named:
            return named
        return str(self._folder / "bridge.sock") if self.pid is not None else None

    def start(self) -> str:
        """Return the socket of a bridge that accepts connections; start one where there is none.

        Blocks for up to START_SECONDS: an event loop calls it in a thread.

        Raises:
            BridgeError: the program is missing, ended at once, or does not serve in time.
        """
        with self._lock:
            path = self.running()
            if path is not None:
                return path
            binary = find_binary()
            if self._owner != os.getpid():
                # After a fork the parent's bridge stays the parent's.
                self._folder, self._owner = _new_folder(), os.getpid()
                atexit.register(self.stop)
            path = str(self._folder / "bridge.sock")
            command = [binary, "executor", "--listen", f"unix://{path}", "--until-eof"]
            hosts = os.environ.get(CALLBACK_HOSTS)
            if hosts:
                command += ["--callback-hosts", hosts]
            with self.log.open("ab") as log:
                child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
            self._await(child, path, binary)
            # Not before it serves: who does not wait for the lock takes it for one that does.
            self._child = child
            return path

    def _await(self, child: subprocess.Popen[bytes], path: str, binary: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as attempt:
                if attempt.connect_ex(path) == 0:
                    return
            time.sleep(0.01)
        status = child.poll()
        _end(child)
        how = "does not serve" if status is None else f"ended with status {status}"
        raise BridgeError(f"the bridge {binary} {how}: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "; ".join(lines[-2:])[-500:] or "it wrote nothing"

    def stop(self) -> None:
        """End the bridge and remove its folder; does nothing in a process that started none."""
        with self._lock:
            if self._owner != os.getpid():
                return
            if self._child is not None:
                _end(self._child)
            self._child = None
            shutil.rmtree(self._folder, ignore_errors=True)
            self._owner = 0
            atexit.unregister(self.stop)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


PROCESS = Process()
