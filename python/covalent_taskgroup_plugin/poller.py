"""Waiting for groups: one long poll for all of a cluster's groups, however many wait.

A connection for each group would cost a file descriptor for each, of which a
dispatcher has 1024 on most machines.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from weakref import WeakKeyDictionary

from . import bridge
from .errors import error_of

# A poll's length in seconds, and how long the bridge may take beyond it.
WAIT_SECONDS = 60.0
MARGIN_SECONDS = 30.0
# GATHER_SECONDS is how long a new group waits for others before all are asked for together.
GATHER_SECONDS = 0.05
# MAX_HANDLES bounds one poll, executor/bridge/server.go.
MAX_HANDLES = 10000

Handle = dict[str, Any]
Waiting = tuple[Handle, "asyncio.Future[dict[str, Any]]"]


class Poller:
    """The groups of one cluster and namespace that are waited for on one event loop."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._waiting: dict[str, list[Waiting]] = {}
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, handle: Handle) -> dict[str, Any]:
        """Return the Outcome of the group, {"handle": {...}, "reason": str}, when it has ended.

        Raises:
            TaskCancelledError: it was cancelled or deleted.
            BridgeError: it cannot be waited for, for a reason that will not pass.
        """
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        key, waiting = _key(handle), (handle, future)
        self._waiting.setdefault(key, []).append(waiting)
        self._arrived.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            return await future
        finally:
            left = [w for w in self._waiting.get(key, []) if w is not waiting]
            if left:
                self._waiting[key] = left
            else:
                self._waiting.pop(key, None)

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            self._arrived.clear()
            handles = [waiting[0][0] for waiting in self._waiting.values()][:MAX_HANDLES]
            if not handles:
                return
            request = {"executor": self._options, "handles": handles, "wait_seconds": WAIT_SECONDS}
            poll = asyncio.create_task(bridge.persist("/v1/poll", request, 0, WAIT_SECONDS + MARGIN_SECONDS))
            news = asyncio.create_task(self._arrived.wait())
            await asyncio.wait({poll, news}, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            if not poll.done():
                # Cancelling loses nothing: what has ended is told again.
                poll.cancel()
                await asyncio.gather(poll, return_exceptions=True)
                if poll.cancelled():
                    continue
            try:
                self._settle(poll.result())
            except Exception as err:  # Whatever it is, nobody may wait for ever.
                for handle in handles:
                    self._tell(handle, err)

    def _settle(self, answer: dict[str, Any]) -> None:
        for result in answer["results"]:
            error = result.get("error")
            self._tell(result["handle"], error_of(error) if error else result)

    def _tell(self, handle: Handle, what: Any) -> None:
        # Popped: the next poll must not ask for it again.
        for _, future in self._waiting.pop(_key(handle), []):
            if future.done():
                continue
            if isinstance(what, BaseException):
                future.set_exception(what)
            else:
                future.set_result(what)


def _key(handle: Handle) -> str:
    # Names hold the dispatch and the group (executor/handle.go), and a poller has one namespace.
    return str(handle["name"])


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = WeakKeyDictionary()


def poller_of(options: dict[str, Any], handle: Handle) -> Poller:
    """Return the poller of this event loop for a handle's cluster and namespace."""
    place = {
        "kubeconfig": options.get("kubeconfig", ""),
        "context": handle.get("context", options.get("context", "")),
        "namespace": handle.get("namespace", options.get("namespace", "")),
    }
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    return pollers.setdefault(json.dumps(place), Poller(place))
