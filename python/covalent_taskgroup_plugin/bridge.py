"""Requests to the bridge: HTTP with JSON over its Unix socket, docs/executor-openapi.yaml.

Everything is awaited, since Covalent runs all of a dispatcher's executors on one event
loop; only starting the process takes a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp

from .errors import BridgeError, error_of
from .process import PROCESS as PROCESS  # taskgroup has it from here, as do the tests

# PROTOCOL is the version of the routes and shapes, executor/bridge/shapes.go.
PROTOCOL = 1
HEADER = "Taskgroup-Protocol"

# How often a request is repeated when the bridge dies under it: every request may be.
CONNECTIONS = 4
FIRST_DELAY = 0.25
LONGEST_DELAY = 15.0
# How long an answer takes at most, in seconds, where a caller does not say.
ANSWER_SECONDS = 120.0
# How long finish holds up an event loop that ends.
LAST_SECONDS = 10.0


async def call(path: str, request: dict[str, Any], seconds: float | None = ANSWER_SECONDS) -> dict[str, Any]:
    """Send one request and return its answer, both as JSON; the OpenAPI document has the shapes.

    A bridge that is not there is started, and one that dies under the request is started again.

    Args:
        path: the route, such as "/v1/send".
        request: the body.
        seconds: how long the answer may take; None for as long as it does.

    Raises:
        TaskCancelledError: the group was cancelled or deleted.
        TaskRuntimeError: the function of a run failed.
        BridgeError: everything else, with its code.
    """
    delay = FIRST_DELAY
    for left in reversed(range(CONNECTIONS)):
        running = PROCESS.running()
        socket = running if running is not None else await asyncio.to_thread(PROCESS.start)
        try:
            return await _exchange(socket, path, request, seconds)
        except asyncio.TimeoutError as err:
            raise BridgeError(f"the bridge did not answer {path} in {seconds:g} s", retry=True) from err
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as err:
            if not left:
                raise BridgeError(f"the bridge at {socket} cannot be reached: {err}", retry=True) from err
        await asyncio.sleep(delay)
        delay *= 2
    raise AssertionError("unreachable")


async def finish(path: str, request: dict[str, Any], tries: int) -> Any:
    """Do persist, and call once more where this task is cancelled meanwhile, before it is.

    A dispatcher that is stopped cancels all its dispatches, and at once its event loop with all tasks
    (covalent_dispatcher/_service/app.py, lifespan; asyncio.run): without this, pods would go on for nobody.
    """
    try:
        return await persist(path, request, tries)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await call(path, request, LAST_SECONDS)
        raise


async def _exchange(socket: str, path: str, request: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    # A connection for each request: a session belongs to an event loop, and connecting costs less than keeping track.
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=10)
    headers = {HEADER: str(PROTOCOL)}
    connector = aiohttp.UnixConnector(path=socket)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
        session.post(f"http://bridge{path}", json=request) as response,
    ):
        # Every answer is a handshake: another release may have taken the place of a bridge that somebody else runs.
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


async def persist(path: str, request: dict[str, Any], tries: int, seconds: float | None = ANSWER_SECONDS) -> Any:
    """Do call, again while its error says that this may help, waiting longer each time.

    Args:
        path: as for call.
        request: as for call.
        tries: how often; 0 for as long as it takes.
        seconds: as for call, of each try.

    Raises:
        As call does; the last error after all tries.
    """
    delay, tried = FIRST_DELAY, 0
    while True:
        try:
            return await call(path, request, seconds)
        except BridgeError as err:
            tried += 1
            if not err.retry or tried == tries:
                raise
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY)
