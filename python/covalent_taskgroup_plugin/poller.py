"""Waiting for groups: a few long polls for all of a cluster's groups, however many wait.

A connection for each group would cost a file descriptor for each, of which a
dispatcher has 1024 on most machines. New groups get a poll of their own, into which
smaller polls are merged: the number of polls and how often a handle is sent grow with
the logarithm of the number of groups.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from . import bridge
from .errors import BridgeError, error_of

# A poll's length in seconds, and how long the bridge may take beyond it.
WAIT_SECONDS = 60.0
MARGIN_SECONDS = 30.0
# GATHER_SECONDS is how long a new group waits for others before all are asked for together.
GATHER_SECONDS = 0.05
# MAX_HANDLES bounds one poll, executor/bridge/server.go.
MAX_HANDLES = 10000
# REFUSED_SECONDS is how long polls may be refused as invalid, or be answered with another shape, until they fail. Every
# other problem of the bridge, the kubeconfig or the cluster is waited out: the groups run regardless of it.
REFUSED_SECONDS = 600.0

Handle = dict[str, Any]
# A handle with the options of its executor that differ between the groups of a poll, and who waits.
Waiting = tuple[Handle, "asyncio.Future[dict[str, Any]]"]


class Poller:
    """The groups of one cluster and namespace that are waited for on one event loop."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._waiting: dict[str, list[Waiting]] = {}
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # The polls that are running, with their groups.
        self._polls: dict[asyncio.Task[None], dict[str, Handle]] = {}
        # Since when the polls of a group have been refused.
        self._refused: dict[str, float] = {}

    async def wait(
        self, handle: Handle, cancel_on_stop: bool = False, results: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the Outcome of the group, {"handle": {...}, "reason": str}, when it has finished.

        Args:
            handle: names the group.
            cancel_on_stop: whether the bridge cancels the group when the dispatcher stops. Each poll has it: a bridge
                that replaces another one learns of it only here.
            results: the options of the executor that say where the results of the group are.

        Raises:
            TaskCancelledError: it was cancelled or deleted.
            BridgeError: the bridge refuses to wait for it.
        """
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        entry = dict(handle)
        if cancel_on_stop:
            entry["cancel_on_stop"] = True
        if results:
            entry["executor"] = dict(results)
        key, waiting = _key(handle), (entry, future)
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
                self._refused.pop(key, None)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(GATHER_SECONDS)
                self._arrived.clear()
                self._assign()
                if not self._polls:
                    continue
                news = asyncio.create_task(self._arrived.wait())
                await asyncio.wait({news, *self._polls}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                self._polls = {poll: groups for poll, groups in self._polls.items() if not poll.done()}
        finally:
            for poll in self._polls:
                poll.cancel()
            self._polls.clear()

    def _assign(self) -> None:
        """Start polls for the groups that no poll waits for."""
        waiting = {key: _entry(those) for key, those in self._waiting.items()}
        polled = {key: entry for groups in self._polls.values() for key, entry in groups.items()}
        new = {key: entry for key, entry in waiting.items() if polled.get(key) != entry}
        if not new:
            return
        for poll, groups in sorted(self._polls.items(), key=lambda item: len(item[1])):
            if len(groups) < 2 * len(new) and len(groups) + len(new) <= MAX_HANDLES:
                # Cancelling loses nothing: the next poll returns what has finished.
                poll.cancel()
                del self._polls[poll]
                new = {**{key: waiting[key] for key in groups if key in waiting}, **new}
        keys = list(new)
        for first in range(0, len(keys), MAX_HANDLES):
            part = {key: new[key] for key in keys[first : first + MAX_HANDLES]}
            self._polls[asyncio.create_task(self._poll(part))] = part

    async def _poll(self, groups: dict[str, Handle]) -> None:
        request = {"executor": self._options, "handles": list(groups.values()), "wait_seconds": WAIT_SECONDS}
        seconds = WAIT_SECONDS + MARGIN_SECONDS
        try:
            self._settle(await bridge.persist("/v1/poll", request, None, _is_waited_out, seconds))
            for key in groups:
                self._refused.pop(key, None)
        except Exception as err:  # Whatever it is, no group may be waited for without a poll.
            await self._refuse(groups, err)

    async def _refuse(self, groups: dict[str, Handle], err: Exception) -> None:
        """Wait before the next poll, and fail the groups whose polls have been refused for too long."""
        now = time.monotonic()
        for key, handle in groups.items():
            if now - self._refused.setdefault(key, now) >= REFUSED_SECONDS:
                del self._refused[key]
                self._tell(handle, err)
        if any(key in self._refused for key in groups):
            bridge.warn("/v1/poll", repr(err) if not str(err) else err)
            await asyncio.sleep(bridge.LONGEST_DELAY)

    def _settle(self, answer: dict[str, Any]) -> None:
        for result in answer["results"]:
            error = result.get("error")
            self._tell(result["handle"], error_of(error) if error else result)
        if answer.get("warning"):
            bridge.warn("/v1/poll", answer["warning"])

    def _tell(self, handle: Handle, what: Any) -> None:
        # Popped: the next poll must not ask for it again.
        for _, future in self._waiting.pop(_key(handle), []):
            if future.done():
                continue
            if isinstance(what, BaseException):
                future.set_exception(what)
            else:
                future.set_result(what)


def _is_waited_out(err: BridgeError) -> bool:
    return err.code != "Invalid"


def _entry(waiting: list[Waiting]) -> Handle:
    """Return a PollHandle, executor/bridge/shapes.go."""
    return {name: value for entry, _ in waiting for name, value in entry.items()}


def _key(handle: Handle) -> str:
    # Names hold the dispatch and the group (executor/handle.go), and a poller has one namespace.
    return str(handle["name"])


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = WeakKeyDictionary()


def poller_of(options: dict[str, Any], handle: Handle) -> Poller:
    """Return the poller of this event loop for the cluster and namespace of a handle."""
    place = {
        "kubeconfig": options.get("kubeconfig", ""),
        "context": handle.get("context", options.get("context", "")),
        "namespace": handle.get("namespace", options.get("namespace", "")),
    }
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    # A context may have been redefined: handles of two clusters are not polled together.
    key = json.dumps([place, handle.get("server"), handle.get("ca")])
    return pollers.setdefault(key, Poller(place))
