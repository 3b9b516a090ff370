"""When a cluster's objects were first seen as something, by this machine's clock.

The API server's own times are of whole seconds; a watch is told of a change some
milliseconds after it.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]


class Watch:
    """A watch of a path of the API, such as /api/v1/pods. Every object is kept with its time, in Unix seconds."""

    def __init__(self, kubectl: str, path: str) -> None:
        self._process = subprocess.Popen(
            [kubectl, "get", "--raw", f"{path}?watch=1"], stdout=subprocess.PIPE, text=True
        )
        self._seen: list[tuple[float, Object]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            now = time.time()
            with self._changed:
                self._seen.append((now, json.loads(line)["object"]))
                self._changed.notify_all()

    def first(self, what: Callable[[Object], bool], seconds: float = 30) -> tuple[float, Object]:
        """Return the first object that is as wanted, and when it was seen; wait for it."""

        def found() -> tuple[float, Object] | None:
            return next((entry for entry in self._seen if what(entry[1])), None)

        with self._changed:
            entry = self._changed.wait_for(found, seconds)
        if entry is None:
            raise SystemExit("the watch was not told of an object")
        return entry

    def stop(self) -> None:
        """End the watch."""
        self._process.terminate()
        self._process.wait()
