"""The asset gateway with a bucket of each cloud: dispatcher and pods need no credentials of it."""

import hashlib
import os
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import covalent as ct
import pytest
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from server import Server
from world import HOME, NAMESPACE, groups_of, kubectl, until

HOST = os.environ["TASKGROUP_E2E_HOST_IP"]
SYSTEM = "taskgroup-system"
CONFIG = Path(__file__).parents[3] / "config"
SECRET = "hunter2CANARY"
SIZE = 1 << 20
# Before the bytes of each object in the bucket are their number and their SHA-256.
RECORD = 48


class Fake(BaseHTTPRequestHandler):
    """The requests of Google Cloud Storage and Azure Blob Storage that the gateway sends, without permissions."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        conditions = (self.headers.get("If-None-Match"), self.headers.get("X-Goog-If-Generation-Match"))
        if conditions in {("*", None), (None, "0")}:
            taken = self.server.objects.setdefault(self.path, body) is not body
        else:
            self.server.objects[self.path], taken = body, False
        self._answer(412 if taken else 201)

    def do_GET(self):
        body = self.server.objects.get(self.path)
        if body is None:
            self._answer(404)
            return
        etag = '"' + hashlib.sha256(body).hexdigest() + '"'
        wanted = self.headers.get("Range") or self.headers.get("X-Ms-Range")
        if wanted is None:
            self._answer(200, body, ETag=etag)
            return
        first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        span = f"bytes {first}-{len(body) - 1}/{len(body)}"
        self._answer(206, body[first:], **{"ETag": etag, "Content-Range": span})

    def _answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def fake():
    """The address and the objects of a fake."""
    serving = ThreadingHTTPServer((HOST, 0), Fake)
    serving.objects = {}
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://{HOST}:{serving.server_address[1]}", serving.objects
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def s3():
    """The address of a real S3 server, and the folder of its bucket."""
    bucket = HOME / "s3-gateway/bucket"
    bucket.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    running = subprocess.Popen(
        [os.environ["TASKGROUP_E2E_S3_SERVER"], "--quiet", "--port", f"{HOST}:{port}", "posix", str(bucket.parent)],
        env={"ROOT_ACCESS_KEY": "AKIATEST", "ROOT_SECRET_KEY": SECRET, "HOME": str(HOME)},
    )

    def listens():
        with socket.socket() as attempt:
            return attempt.connect_ex((HOST, port)) == 0

    try:
        until("the S3 server", listens)
        yield f"http://{HOST}:{port}", bucket
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def install(tmp_path):
    """Install the gateway with a bucket, as docs/gateway.md describes it; the volume is used again afterwards."""

    def with_bucket(**variables):
        literals = [f"--from-literal={name}={value}" for name, value in variables.items()]
        kubectl("-n", SYSTEM, "create", "secret", "generic", "taskgroup-gateway-bucket", *literals)
        config = os.path.relpath(CONFIG, tmp_path.resolve())
        (tmp_path / "kustomization.yaml").write_text(
            f"resources: [{config}/default]\ncomponents: [{config}/gateway-bucket]\n"
        )
        kubectl("apply", "-k", str(tmp_path))
        rolled_out()

    yield with_bucket
    kubectl("apply", "-k", str(CONFIG / "default"))
    kubectl("-n", SYSTEM, "delete", "secret", "taskgroup-gateway-bucket", "--ignore-not-found")
    rolled_out()


@pytest.fixture
def fresh(request):
    """A server of its own: another one takes its functions to be stored, from before the bucket was changed."""
    server = Server(request.node.name)
    yield server.start()
    server.stop()


def rolled_out():
    kubectl("-n", SYSTEM, "rollout", "status", "--timeout=180s", "deployment/taskgroup-gateway")


def flow():
    """Make a workflow without assets."""
    executor = TaskGroupExecutor(
        kubeconfig=os.environ["KUBECONFIG"], namespace=NAMESPACE, cpu="20m", memory="128Mi", download_limit="64Ki"
    )

    @ct.electron(executor=executor)
    def make(size):
        print("size", size)
        return bytes(size)

    @ct.electron(executor=executor)
    def length(data):
        return len(data)

    @ct.lattice(executor=executor, workflow_executor="local")
    def passing(size):
        return length(make(size))

    return passing


def check(server, size_of):
    """Run a workflow whose objects have to be in the bucket."""
    result = server.ended(server.dispatch(flow(), SIZE))
    assert result.completed() == SIZE
    assert result.node("make")["stdout"] == f"size {SIZE}\n"
    made, counted = groups_of(result.dispatch)
    assert SECRET not in f"{made}{counted}"
    (uri,) = counted["spec"]["assets"]["inputs"].values()
    assert uri == f"gateway://{NAMESPACE}/groups/{made['metadata']['uid']}/a1/0/output"
    assert size_of(f"team/{uri.removeprefix('gateway://')}") > SIZE + RECORD
    (function,) = made["spec"]["assets"]["functions"].values()
    assert size_of(f"team/{function.removeprefix('gateway://')}") > RECORD
    # Who asks for the output gets it.
    assert result.node("make")["output"].get_deserialized() == bytes(SIZE)


def test_bucket_of_s3(fresh, s3, install):
    address, bucket = s3
    install(
        TASKGROUP_BUCKET="s3://bucket/team",
        AWS_ENDPOINT_URL_S3=address,
        AWS_ACCESS_KEY_ID="AKIATEST",
        AWS_SECRET_ACCESS_KEY=SECRET,
    )
    check(fresh, lambda key: (bucket / key).stat().st_size)


def test_bucket_of_gs(fresh, fake, install):
    address, objects = fake
    install(TASKGROUP_BUCKET="gs://bucket/team", STORAGE_EMULATOR_HOST=address)
    check(fresh, lambda key: len(objects[f"/bucket/{key}"]))


def test_bucket_of_azblob(fresh, fake, install):
    address, objects = fake
    connection = f"AccountName=account;AccountKey=c2VjcmV0;BlobEndpoint={address}"
    install(TASKGROUP_BUCKET="azblob://bucket/team", AZURE_STORAGE_CONNECTION_STRING=connection)
    check(fresh, lambda key: len(objects[f"/bucket/{key}"]))
