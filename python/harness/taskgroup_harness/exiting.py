"""The end of a task's process: what Python does when a program exits, within a bounded time.

The process ends with os._exit, since the end of the interpreter would run the harness's own
end too. The steps of that end that users rely on are here: threads are joined, the handlers of
atexit run (those of logging, multiprocessing and concurrent.futures are among them), and open
files are flushed.
"""

from __future__ import annotations

import _io
import _thread
import atexit
import contextlib
import faulthandler
import gc
import os
import sys
import threading
import time
from typing import Any, Callable

from taskgroup_harness.failure import exception_text

# The longest time that the end of a task may take, in seconds. The result exists by then, so
# that a library that waits for a server must not hold the group.
LIMIT = 5.0
_STDERR = 2


# The exit handlers of the harness's own imports; more of them are the task's, or a preloaded module's.
_OWN_HANDLERS = atexit._ncallbacks()


def finish(seconds: float) -> None:
    """Join threads, run exit handlers and flush files; end the process if that takes too long.

    The task's outcome must have been reported: an error here is a line of its stderr.
    """
    if not _is_needed():
        return
    _end_after(max(0.1, min(seconds, LIMIT)))
    sys.unraisablehook = _print_unraisable
    for what, step in (
        ("joining threads", threading._shutdown),  # type: ignore[attr-defined]
        ("exit handlers", atexit._run_exitfuncs),
        ("flushing files", _flush_files),
        ("flushing stdout and stderr", flush_streams),
    ):
        _try(what, step)


def _is_needed() -> bool:
    """Return whether the task left a thread, an exit handler or a file; most tasks do not."""
    logging = sys.modules.get("logging")
    return (
        threading.active_count() > 1
        or atexit._ncallbacks() > _OWN_HANDLERS
        or bool(getattr(threading, "_threading_atexits", ()))
        # The module has a handler of last resort, which writes to stderr.
        or len(getattr(logging, "_handlerList", ())) > 1
        or bool(_files())
    )


def flush_streams() -> None:
    """Flush the buffers of Python's streams and, if it is in use, of the C library."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            stream.flush()  # type: ignore[union-attr]
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None:
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).fflush(None)


def print_line(text: str) -> None:
    """Print a line of the runner's to the task's stderr, also if the function replaced sys.stderr."""
    with contextlib.suppress(OSError):
        os.write(_STDERR, f"[taskgroup] {text}\n".encode("utf-8", errors="backslashreplace"))


def _try(what: str, step: Callable[[], Any]) -> None:
    try:
        step()
    except BaseException as err:
        print_line(f"{what} at the end of the task: {exception_text(err)}")


def _print_unraisable(unraisable: Any) -> None:
    """Print an exception of an exit handler or a destructor in one line, for sys.unraisablehook."""
    # From Python 3.13 on, the message of atexit names the handler, and there is no object.
    where = unraisable.err_msg if unraisable.object is None else ascii(unraisable.object)
    err = unraisable.exc_value or unraisable.exc_type()
    print_line(f"{where} at the end of the task: {exception_text(err)}")


def _end_after(seconds: float) -> None:
    """End the process after a time."""
    main = threading.get_ident()

    def end() -> None:
        time.sleep(seconds)
        frame = sys._current_frames().get(main)
        where = f" in {frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else ""
        print_line(f"threads and exit handlers did not finish within {seconds:.1f} s: stopped{where}")
        os._exit(1)

    with contextlib.suppress(RuntimeError):
        # Not a threading.Thread, which costs more and which exit handlers may count.
        _thread.start_new_thread(end, ())
    # C code that keeps the interpreter's lock stops the thread above, but not this one.
    with contextlib.suppress(RuntimeError):
        faulthandler.dump_traceback_later(seconds + 1, exit=True, file=_STDERR)


def _flush_files() -> None:
    """Flush all files, as the interpreter does when it deletes them: those of globals and cycles, too."""
    files = _files()
    # From the outside to the inside: text goes through a compressor, and that into a buffer.
    buffers = (_io.BufferedWriter, _io.BufferedRandom)
    for file in files:
        if isinstance(file, _io.TextIOWrapper):
            _flush(file.flush)
    for file in files:
        # Classes that are written in Python may have to write an end, such as gzip's.
        if type(file).__module__ != "_io" and not isinstance(file, (_io.TextIOWrapper, *buffers)):
            _flush(file.close)
    for file in files:
        if isinstance(file, buffers):
            _flush(file.flush)


def _files() -> list[Any]:
    """Return the files that the task opened: the harness's own are frozen, and not in the list of the collector."""
    kinds = _subclasses(_io._IOBase)
    return [found for found in gc.get_objects() if type(found) in kinds]


def _flush(method: Callable[[], Any]) -> None:
    try:
        method()
    except ValueError:
        # It is closed, or detached.
        return
    except Exception as err:
        print_line(f"flushing a file at the end of the task: {exception_text(err)}")


def _subclasses(kind: type) -> set[type]:
    found = {kind}
    for sub in type.__subclasses__(kind):
        found |= _subclasses(sub)
    return found
