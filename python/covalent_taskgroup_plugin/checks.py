"""The checks of an executor, as `taskgroup doctor` makes them: cluster, permissions, store, pod and image."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotWithinError
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from . import bridge, calls

# How long the checks without a pod, and the removal of what they create, take at most, in seconds.
REST_SECONDS = 180.0
# How long an interrupted check is waited for, in seconds.
INTERRUPT_SECONDS = 10.0


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: cluster, crd, operator, permissions, namespace, store, pod, pod-store or image; later releases add names.
        status: "ok", "warning", "failed" or "skipped".
        message: what was found, or why the check was skipped.
        next: what to do; empty if there is nothing to do.
    """

    name: str
    status: str
    message: str
    next: str = ""

    def __str__(self) -> str:
        """Return one line, and a second one with what to do."""
        line = f"{self.status:8} {self.name:12} {self.message}"
        return f"{line}\n{'':22}next: {self.next}" if self.next else line


@dataclass(frozen=True, repr=False)
class Report:
    """The checks in their order. It is true if no check failed; warnings and skipped checks are no failures."""

    checks: tuple[Check, ...]

    def __bool__(self) -> bool:
        """Return whether no check failed."""
        return all(check.status != "failed" for check in self.checks)

    def __str__(self) -> str:
        """Return the readable report."""
        return "\n".join(map(str, self.checks))

    def __repr__(self) -> str:
        """Return a summary: a notebook displays it below the report, which is printed already."""
        counts = Counter(check.status for check in self.checks)
        return f"<{type(self).__name__}: {', '.join(f'{count} {status}' for status, count in counts.items())}>"


def check(options: dict[str, Any], pod: bool, seconds: float) -> Report:
    """Make the checks of an executor, without the caller's event loop, and return their report.

    Args:
        options: as bridge requests have them.
        pod: whether the checks that start a pod are made.
        seconds: how long the pod is waited for.

    Raises:
        BridgeError: the bridge cannot make them.
    """
    request = {
        "executor": options,
        "version_info": calls.own_version(),
        "cloudpickle": metadata.version("cloudpickle"),
        "no_pod": not pod,
        "timeout_seconds": seconds,
    }
    answer = _in_thread(bridge.call("/v1/check", request, seconds + REST_SECONDS))
    fields = ("name", "status", "message", "next")
    return Report(tuple(Check(*(str(found.get(field, "")) for field in fields)) for found in answer["checks"]))


def _in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread with an event loop of its own: that of a notebook runs already and cannot wait.

    An interrupt cancels it and waits for that, so that the bridge learns of it and removes what it has created.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()
    done: Future[Any] = Future()

    async def main() -> Any:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await work

    def run() -> None:
        try:
            done.set_result(asyncio.run(main()))
        except BaseException as err:
            done.set_exception(err)

    thread = threading.Thread(target=run, name="taskgroup-check", daemon=True)
    try:
        # The interrupt may arrive while the thread starts.
        thread.start()
        return done.result()
    except KeyboardInterrupt:
        # The thread did not start, or its loop is closed because the work is done.
        with contextlib.suppress(NotWithinError, RuntimeError):
            loop, task = begun.result(INTERRUPT_SECONDS)
            loop.call_soon_threadsafe(task.cancel)
            thread.join(INTERRUPT_SECONDS)
        raise
