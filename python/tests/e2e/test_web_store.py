"""Objects in a web server that takes PUT, which dispatcher and pods both reach."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import covalent as ct
import pytest
from world import groups_of, on_cluster


class Store(BaseHTTPRequestHandler):
    """Keeps what is PUT, once where the client wants that."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*":
            taken = self.server.objects.setdefault(self.path, body) is not body
        else:
            self.server.objects[self.path], taken = body, False
        self._answer(412 if taken else 201, b"")

    def do_GET(self):
        body = self.server.objects.get(self.path)
        self._answer(404 if body is None else 200, body or b"")

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def store():
    serving = ThreadingHTTPServer((os.environ["TASKGROUP_E2E_HOST_IP"], 0), Store)
    serving.objects = {}
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_objects_are_on_a_web_server(server, store):
    address = "http://{}:{}".format(*store.server_address)
    executor = on_cluster(assets=f"{address}/team")

    @ct.electron(executor=executor)
    def speak(n):
        print("said", n)
        return n

    @ct.lattice(executor=executor, workflow_executor="local")
    def flow(n):
        return speak(speak(n))

    result = server.ended(server.dispatch(flow, "grüße"))
    assert result.completed() == "grüße"
    assert result.node("speak")["stdout"] == "said grüße\n"
    (function,) = groups_of(result.dispatch)[0]["spec"]["assets"]["functions"].values()
    assert function.removeprefix(address) in store.objects
    assert sum(path.endswith("/manifest.json") for path in store.objects) == 2
