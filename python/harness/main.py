"""The program that the runner starts in a task's pod: ``main.py [MODULE...]``, with the modules to preload.

This file reports what the image lacks, so it keeps to a syntax that any Python 3
can read; everything newer is in the package beside it.
"""

import json
import os
import sys

# The socket to the runner; see protocol.py.
CONTROL_FD = 3
OLDEST = (3, 9)


def lack():
    """Return a message that names what this Python lacks to run a task, or None."""
    if sys.version_info < OLDEST:
        return "%s is Python %d.%d: a function needs Python %d.%d or newer: use an image that has it" % (
            (sys.executable,) + tuple(sys.version_info[:2]) + OLDEST
        )
    try:
        import cloudpickle  # noqa: F401
    except Exception as err:
        return "%s (Python %d.%d) cannot import cloudpickle (%s: %s): add it to the image (pip install cloudpickle)" % (
            (sys.executable,) + tuple(sys.version_info[:2]) + (type(err).__name__, err)
        )
    return None


def refuse(message):
    """Report to the runner why no task can run here."""
    os.write(CONTROL_FD, (json.dumps({"event": "unavailable", "message": message}) + "\n").encode("utf-8"))


def main():
    """Serve tasks until the runner closes the socket."""
    here = os.path.dirname(os.path.abspath(__file__))
    # A function must find its own modules, not those of the harness.
    sys.path[:] = [entry for entry in sys.path if entry != here]
    missing = lack()
    if missing:
        refuse(missing)
        return 1
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, here)
    from taskgroup_harness import server

    sys.path.remove(here)
    sys.dont_write_bytecode = written
    return server.serve(CONTROL_FD, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
