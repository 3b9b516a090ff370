"""Requests to the bridge: HTTP with JSON over its Unix socket, docs/executor-openapi.yaml.

Everything is awaited, since Covalent runs all executors of a dispatcher on one event
loop; only starting the process takes a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from covalent._shared_files import logger

from .errors import BridgeError, error_of
from .process import PROCESS as PROCESS  # taskgroup has it from here, as do the tests

# PROTOCOL is the version of the routes and shapes, executor/bridge/shapes.go.
PROTOCOL = 1
HEADER = "Taskgroup-Protocol"

# How often a request is repeated when the bridge dies under it: every request may be repeated.
CONNECTIONS = 4
FIRST_DELAY = 0.25
LONGEST_DELAY = 15.0
# How long an answer takes at most, in seconds, if a caller does not set it.
ANSWER_SECONDS = 120.0
# How long finish delays an event loop that is closing.
LAST_SECONDS = 10.0
# How many requests with a short answer are sent at a time: each takes a file descriptor of the dispatcher, of which
# most machines allow 1024.
CONCURRENT = 64
# How often the same problem is logged at most, in seconds.
WARN_SECONDS = 60.0


async def call(path: str, request: dict[str, Any], seconds: float | None = ANSWER_SECONDS) -> dict[str, Any]:
    """Send one request and return its answer, both as JSON; the OpenAPI document has the shapes.

    A bridge that is missing is started. One that does not answer is replaced.

    Args:
        path: the route, such as "/v1/send".
        request: the body.
        seconds: how long the answer may take; None for no limit.

    Raises:
        TaskCancelledError: the group was cancelled or deleted.
        TaskRuntimeError: the function of a run failed.
        BridgeError: everything else, with its code.
    """
    delay = FIRST_DELAY
    failed: str | None = None
    for left in reversed(range(CONNECTIONS)):
        socket = PROCESS.running()
        if socket is None or failed is not None:
            socket = await asyncio.to_thread(PROCESS.start, failed)
        try:
            return await _exchange(socket, path, request, seconds)
        except asyncio.TimeoutError as err:
            await asyncio.to_thread(PROCESS.start, socket)
            raise BridgeError(f"the bridge did not answer {path} in {seconds:g} s", retry=True) from err
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as err:
            failed = socket
            if not left:
                raise BridgeError(f"the bridge at {socket} cannot be reached: {err}", retry=True) from err
        await asyncio.sleep(delay)
        delay *= 2
    raise AssertionError("unreachable")


async def finish(path: str, request: dict[str, Any], within: float) -> Any:
    """Do persist. If this task is cancelled meanwhile, send the request once more before it terminates.

    A dispatcher that is stopped cancels all its dispatches, and at once its event loop with all tasks
    (covalent_dispatcher/_service/app.py, lifespan; asyncio.run): without this, pods would run without an owner.
    """
    try:
        return await persist(path, request, within)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await call(path, request, LAST_SECONDS)
        raise


def passes(error: BridgeError) -> bool:
    """Return whether the cause of an error may pass although the same request cannot succeed at once.

    A kubeconfig may be being rewritten, a token be renewed, a role or a CRD be replaced.
    """
    return error.retry or error.code in ("Configuration", "Unauthorized", "Forbidden", "NotInstalled", "Namespace")


async def persist(
    path: str,
    request: dict[str, Any],
    within: float | None,
    retried: Callable[[BridgeError], bool] = passes,
    seconds: float | None = ANSWER_SECONDS,
) -> Any:
    """Do call, and retry it while its error may pass, waiting longer each time. Every cause is logged as a warning.

    Args:
        path: as for call.
        request: as for call.
        within: how many seconds after the first failure the last retry begins; None for no limit.
        retried: which errors may pass.
        seconds: as for call, of each try.

    Raises:
        As call does; the last error after all tries.
    """
    return await retry(path, lambda: call(path, request, seconds), within, retried)


async def retry(
    what: str,
    attempt: Callable[[], Awaitable[Any]],
    within: float | None,
    retried: Callable[[BridgeError], bool] = passes,
) -> Any:
    """Await attempt(), and repeat it while its BridgeError may pass, waiting longer each time; see persist.

    Args:
        what: what is attempted, for the log.
        attempt: what is repeated.
        within: as for persist.
        retried: as for persist.

    Raises:
        As attempt does; its last error after all tries.
    """
    delay, deadline = FIRST_DELAY, None
    while True:
        try:
            return await attempt()
        except BridgeError as err:
            now = time.monotonic()
            if within is not None and deadline is None:
                deadline = now + within
            if not retried(err) or (deadline is not None and now >= deadline):
                raise
            warn(what, err)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY)


def warn(path: str, problem: object) -> None:
    """Log a problem that is waited out; the same one at most once in WARN_SECONDS."""
    text, now = f"{path}: {problem}; it is retried", time.monotonic()
    for old in [known for known, logged in _warned.items() if now - logged >= WARN_SECONDS]:
        del _warned[old]
    if text not in _warned:
        _warned[text] = now
        logger.app_log.warning("TaskGroup executor: %s", text)


_warned: dict[str, float] = {}


async def _exchange(socket: str, path: str, request: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    connections = _connections_of(asyncio.get_running_loop())
    # Polls and runs are answered when groups finish: they must not hold up other requests.
    turn = connections.turns if seconds is not None and path != "/v1/poll" else contextlib.nullcontext()
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=10)
    async with (
        turn,
        connections.session(socket) as session,
        session.post(f"http://bridge{path}", json=request, timeout=timeout) as response,
    ):
        # Every answer is a handshake: a bridge that runs as a service may have been replaced by another release.
        spoken = response.headers.get(HEADER, "none")
        if spoken != str(PROTOCOL):
            raise BridgeError(
                f"the bridge at {socket} speaks protocol {spoken}, this plugin {PROTOCOL}: "
                "install releases that belong together"
            )
        answer: dict[str, Any] = await response.json()
        if response.status >= 400:
            raise error_of(answer.get("error") if isinstance(answer, dict) else answer)
        return answer


class _Connections:
    """The connections of one event loop to the bridge, reused as long as requests are in flight.

    A session is closed with its last request, so that no event loop closes before its sessions.
    """

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(CONCURRENT)
        self._sessions: dict[str, tuple[aiohttp.ClientSession, int]] = {}

    @contextlib.asynccontextmanager
    async def session(self, socket: str) -> AsyncIterator[aiohttp.ClientSession]:
        session, users = self._sessions.get(socket, (None, 0))
        if session is None:
            connector = aiohttp.UnixConnector(path=socket, limit=0)
            session = aiohttp.ClientSession(connector=connector, headers={HEADER: str(PROTOCOL)})
        self._sessions[socket] = (session, users + 1)
        try:
            yield session
        finally:
            _, users = self._sessions.pop(socket)
            if users > 1:
                self._sessions[socket] = (session, users - 1)
            else:
                await session.close()


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections] = WeakKeyDictionary()


def _connections_of(loop: asyncio.AbstractEventLoop) -> _Connections:
    return _connections.setdefault(loop, _Connections())
