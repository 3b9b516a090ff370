"""The process of the bridge: located, started on first use, replaced when it does not answer.

Each process that uses the plugin has its own bridge. The standard input of the bridge is
a pipe whose other end only that process holds, and the bridge stops when the pipe is
closed (`--until-eof`). The kernel closes it also after a SIGKILL of the dispatcher.
Forked children of the dispatcher close their copy. The bridge keeps no state: a request
that finds no bridge starts one.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import IO, Optional

from covalent._shared_files.config import get_config

from .errors import BridgeError

# BINARY names the program, SOCKET the socket of a bridge that runs as a service, CALLBACK_HOSTS the hosts that the
# bridge may notify (push mode).
BINARY = "TASKGROUP_BRIDGE"
SOCKET = "TASKGROUP_BRIDGE_SOCKET"
CALLBACK_HOSTS = "TASKGROUP_BRIDGE_CALLBACK_HOSTS"

START_SECONDS = 20.0
# How long a bridge that accepts a connection may take to answer a request for its health.
PROBE_SECONDS = 10.0
# A bridge that is stopped may have to cancel groups first (cancel_on_stop, executor/bridge/open.go).
STOP_SECONDS = 45.0
# A Unix address has room for 103 bytes on macOS and 107 on Linux; the rest is "/taskgroup-XXXXXXXX/bridge.sock".
_LONGEST_FOLDER = 103 - 32
# How old a folder without a bridge has to be to be removed: a bridge may be starting in a younger one.
STALE_SECONDS = 600.0


def find_binary() -> str:
    """Return the path of the program `taskgroup`: $TASKGROUP_BRIDGE, the wheel's own, or the PATH's.

    Raises:
        BridgeError: the program does not exist, or $TASKGROUP_BRIDGE is not executable.
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


def _folders() -> list[str]:
    """Return where the folder of a socket may be, the best location first.

    $XDG_RUNTIME_DIR is not among them: the last logout of a user removes it, and the dispatcher continues.
    """
    parents = [str(get_config("dispatcher.cache_dir")), tempfile.gettempdir(), "/tmp"]
    return [parent for parent in parents if len(os.fsencode(parent)) <= _LONGEST_FOLDER]


def _remove_stale(parent: str) -> None:
    """Remove the folders of bridges that were killed, or whose dispatcher was."""
    for folder in Path(parent).glob("taskgroup-*"):
        try:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            if time.time() - status.st_mtime < STALE_SECONDS or _listens(folder / "bridge.sock"):
                continue
            # Only what a bridge leaves: a folder with other files is not ours, and stays.
            for name in ("bridge.sock", "bridge.log"):
                if {path.name for path in folder.iterdir()} <= {"bridge.sock", "bridge.log"}:
                    (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        except OSError:
            continue


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        attempt.settimeout(1)
        # A bridge that is busy refuses connections in another way.
        return attempt.connect_ex(str(path)) not in (errno.ECONNREFUSED, errno.ENOENT)


class Process:
    """The bridge of this process. All methods may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._pipe = -1
        self._owner = 0
        self._folder = Path()
        # How many starts have failed because of their folder: the next start tries the next location.
        self._unusable = 0
        # Whether the last bridge served in its folder: the next one uses it again.
        self._keeps_folder = False
        # Whether a bridge of this process has served: an error of a later start passes.
        self._served = False
        self._failed: tuple[float, BridgeError] = (0.0, BridgeError(""))
        _PROCESSES.add(self)

    @property
    def pid(self) -> Optional[int]:
        """The process ID of the bridge; None if no bridge is running."""
        child = self._child
        return child.pid if child is not None and self._owner == os.getpid() and child.poll() is None else None

    @property
    def folder(self) -> Path:
        """The folder of the socket."""
        return self._folder

    @property
    def log(self) -> Path:
        """The log file of the bridges of this user, a line of JSON for each event, beside Covalent's logs."""
        return Path(str(get_config("dispatcher.log_dir"))) / "taskgroup-bridge.log"

    def running(self) -> Optional[str]:
        """Return the socket of the running bridge, without waiting; None if start has to be called."""
        named = os.environ.get(SOCKET)
        if named:
            return named
        return str(self._folder / "bridge.sock") if self.pid is not None else None

    def start(self, failed: Optional[str] = None) -> str:
        """Return the socket of a bridge that answers; start or replace the bridge if necessary.

        Blocks for up to START_SECONDS: an event loop calls it in a thread.

        Args:
            failed: the socket on which a request has just failed. The bridge on it is replaced unless it answers.

        Raises:
            BridgeError: the program is missing, terminated at once, or does not serve in time.
        """
        called = time.monotonic()
        with self._lock:
            path = self.running()
            if path is not None and (path != failed or path == os.environ.get(SOCKET) or _answers(path)):
                return path
            if self._failed[0] > called:
                # Another thread has tried since this call began: all requests of a burst would try one by one.
                raise self._failed[1]
            try:
                return self._replace()
            except BridgeError as err:
                err.retry = err.retry or self._served
                self._failed = (time.monotonic(), err)
                raise

    def _replace(self) -> str:
        self._kill()
        binary = find_binary()
        try:
            self._ensure_folder()
            path = str(self._folder / "bridge.sock")
            log = self._open_log()
            command = [
                binary,
                "executor",
                "--listen",
                f"unix://{path}",
                "--until-eof",
                "--log-file",
                os.fsdecode(log.name),
            ]
            hosts = os.environ.get(CALLBACK_HOSTS)
            if hosts:
                command += ["--callback-hosts", hosts]
            with log:
                begin = log.tell()
                reading, self._pipe = os.pipe()
                try:
                    child = subprocess.Popen(command, stdin=reading, stdout=log, stderr=log, start_new_session=True)
                finally:
                    os.close(reading)
        except OSError as err:
            self._close_pipe()
            self._keeps_folder = False
            self._unusable += err.errno not in (errno.EMFILE, errno.ENFILE)
            raise BridgeError(f"the bridge {binary} could not be started: {err}", retry=True) from err
        try:
            self._await(child, path, binary, Path(os.fsdecode(log.name)), begin)
        except BridgeError:
            self._close_pipe()
            _terminate(child)
            self._keeps_folder = False
            self._unusable += 1
            raise
        # Not before it serves: callers of running do not wait for the lock.
        self._child, self._served, self._keeps_folder = child, True, True
        return path

    def _ensure_folder(self) -> None:
        """Make a folder for the socket, of mode 0700: every process that reaches the socket acts as this user."""
        if self._owner != os.getpid():
            # After a fork, the bridge and its folder belong to the parent.
            self._folder, self._owner = Path(), os.getpid()
            atexit.register(self.stop)
        elif self._keeps_folder and self._folder.is_dir():
            return
        elif self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)
        folders = _folders()
        failure: Optional[OSError] = None
        for number in range(len(folders)):
            parent = folders[(self._unusable + number) % len(folders)]
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="taskgroup-", dir=parent))
                _remove_stale(parent)
                return
            except OSError as err:
                failure = err
        raise failure or OSError(errno.ENAMETOOLONG, "no folder with a path that is short enough for a socket")

    def _open_log(self) -> IO[bytes]:
        """Open the log for what is written before the bridge rotates it; in the folder of the socket if it must be."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            return _appended(self.log)
        except OSError:
            return _appended(self._folder / "bridge.log")

    def _await(self, child: subprocess.Popen[bytes], path: str, binary: str, log: Path, begin: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as attempt:
                if attempt.connect_ex(path) == 0:
                    return
            time.sleep(0.01)
        status = child.poll()
        how = "does not serve" if status is None else f"ended with status {status}"
        raise BridgeError(f"the bridge {binary} {how}: {_last_words(log, begin)}")

    def _kill(self) -> None:
        """Kill a bridge that does not answer. It gets no signal to stop: cancel_on_stop would cancel running groups."""
        child, self._child = self._child, None
        if child is not None and self._owner == os.getpid():
            child.kill()
            child.wait()
        self._close_pipe()

    def _close_pipe(self) -> None:
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            os.close(pipe)

    def forked(self) -> None:
        """Release in a forked child what belongs to its parent: the bridge would outlive the parent otherwise."""
        self._lock = threading.Lock()
        self._child, self._keeps_folder = None, False
        self._close_pipe()

    def stop(self) -> None:
        """Stop the bridge and remove its folder; does nothing in a process that started none."""
        with self._lock:
            if self._owner != os.getpid():
                return
            child, self._child = self._child, None
            self._close_pipe()
            if child is not None:
                _terminate(child)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder, self._owner, self._keeps_folder = Path(), 0, False
            atexit.unregister(self.stop)


def _appended(path: Path) -> IO[bytes]:
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def _last_words(log: Path, begin: int) -> str:
    """Return the last lines of a log that was begin bytes long when the bridge was started."""
    try:
        with log.open("rb") as file:
            file.seek(min(begin, log.stat().st_size))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError as err:
        return f"its log cannot be read: {err}"
    return "; ".join(lines[-2:])[-500:] or "it wrote nothing"


def _answers(path: str) -> bool:
    """Return whether the bridge on a socket answers a request for its health.

    Raises:
        BridgeError: this process cannot find out now, for example because it has no free file descriptor.
    """
    try:
        probe = socket.socket(socket.AF_UNIX)
    except OSError as err:
        raise BridgeError(f"the bridge at {path} cannot be reached: {err}", retry=True) from err
    with probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(path)
            probe.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return probe.recv(1) != b""
        except BlockingIOError:
            # Its queue of connections is full: it is busy.
            return True
        except OSError:
            return False


def _terminate(child: subprocess.Popen[bytes]) -> None:
    """Wait for a bridge whose standard input was closed."""
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


_PROCESSES: weakref.WeakSet[Process] = weakref.WeakSet()


def _after_fork() -> None:
    for process in list(_PROCESSES):
        process.forked()


os.register_at_fork(after_in_child=_after_fork)

PROCESS = Process()
