"""The two sides of the plugin: a bridge that answers what it is told, and a dispatcher."""

import asyncio
import json

from aiohttp import web
from covalent.executor.utils import Signals

HANDLE = {"namespace": "team", "name": "tg-1"}
SENT = {**HANDLE, "uid": "u-1"}
OUTCOME = {"handle": SENT, "reason": "Completed"}
GROUP = {"dispatch_id": "d", "node_ids": [3], "task_group_id": 3}


def error(code, message="words", retry=False, status=500):
    """An answer of the bridge that is an error."""
    return status, {"error": {"code": code, "message": message, "retry": retry}}


class FakeBridge:
    """Serves the routes of docs/executor-openapi.yaml on a Unix socket.

    `answers` has for each path what to answer: a body, (status, body), a coroutine function of the request, an
    exception to drop the connection, or a list of these, the last of which is repeated.
    """

    def __init__(self, path):
        self.path = path
        self.protocol = "1"
        self.requests = []
        # The connections that were accepted.
        self.connections = []
        self.answers = {
            "/v1/handle": {"handle": HANDLE},
            "/v1/send": {"handle": SENT},
            "/v1/poll": {"results": [OUTCOME]},
            "/v1/cancel": {"cancelled": True},
        }

    def bodies(self, path):
        return [body for asked, body in self.requests if asked == path]

    @property
    def paths(self):
        return [path for path, _ in self.requests]

    async def __aenter__(self):
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, self.path).start()
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _serve(self, request):
        if request.transport not in self.connections:
            self.connections.append(request.transport)
        body = await request.json()
        self.requests.append((request.path, body))
        answer = self.answers[request.path]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = await answer(body)
        if isinstance(answer, Exception):
            request.transport.abort()
            return web.Response()
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return web.Response(
            status=status,
            text=json.dumps(body),
            headers={"Taskgroup-Protocol": self.protocol},
            content_type="application/json",
        )


class Dispatcher:
    """The proxy of covalent_dispatcher/_core/runner_modules/executor_proxy.py, with a list for a database.

    `cancel` has the answers to "is a cancellation asked for"; the last is repeated, and an exception is what the real
    one makes of a failure: it answers (False, None) and ends.
    """

    def __init__(self, executor, cancel=(False,)):
        self.executor, self.cancel = executor, list(cancel)
        self.events = []

    async def __aenter__(self):
        self.executor._init_runtime()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()

    async def _watch(self):
        while True:
            action, body = await self.executor._send_queue.get()
            self.events.append((action, body))
            answer = None
            if body == "cancel_requested":
                answer = self.cancel.pop(0) if len(self.cancel) > 1 else self.cancel[0]
            elif body == "version_info":
                answer = {"python": "3.11.2", "covalent": "0.240.0"}
            if isinstance(answer, Exception):
                self.executor._recv_queue.put_nowait((False, None))
                return
            self.executor._recv_queue.put_nowait((True, answer))

    @property
    def handles(self):
        return [json.loads(b[1]) for a, b in self.events if a == Signals.PUT and b[0] == "job_handle"]
