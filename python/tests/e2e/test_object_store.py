"""Objects in a real S3 server, which dispatcher and pods both reach."""

import hashlib
import os
import socket
import subprocess
import time

import covalent as ct
import pytest
from server import Server
from world import HOME, NAMESPACE, POD, groups_of, kubectl, on_cluster, reason_of, until

HOST = os.environ["TASKGROUP_E2E_HOST_IP"]
BUCKET = HOME / "s3-data/bucket"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "hunter2CANARY"}


@pytest.fixture(scope="module")
def endpoint():
    """An S3 server with an empty bucket."""
    BUCKET.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    running = subprocess.Popen(
        [os.environ["TASKGROUP_E2E_S3_SERVER"], "--quiet", "--port", f"{HOST}:{port}", "posix", str(BUCKET.parent)],
        env={"ROOT_ACCESS_KEY": "AKIATEST", "ROOT_SECRET_KEY": "hunter2CANARY", "HOME": str(HOME)},
    )

    def listens():
        with socket.socket() as attempt:
            return attempt.connect_ex((HOST, port)) == 0

    try:
        until("the S3 server", listens)
        literals = [f"--from-literal={name}={value}" for name, value in CREDENTIALS.items()]
        kubectl("-n", NAMESPACE, "create", "secret", "generic", "s3", *literals)
        yield f"http://{HOST}:{port}"
    finally:
        running.kill()
        running.wait()


@pytest.fixture(scope="module")
def stored(endpoint):
    """A server whose process has the store's credentials."""
    server = Server("s3")
    server.environment |= {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": "us-east-1"}
    yield server.start()
    server.stop()


def flow_of(endpoint, bucket):
    """Make a workflow of which all objects are in a bucket."""
    executor = on_cluster(
        assets=f"s3://{bucket}/team",
        env={"AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": "us-east-1"},
        pod={**POD, "envFrom": [{"secretRef": {"name": "s3"}}]},
        log_stdout="out.txt",
    )

    @ct.electron(executor=executor)
    def speak(n):
        print("said", n)
        return n

    @ct.electron(executor=executor)
    def fail(n):
        raise ValueError(n)

    def flow(n, fails):
        said = speak(n)
        return fail(said) if fails else speak(n=said)

    return ct.lattice(flow, executor=executor, workflow_executor="local")


def test_objects_are_in_a_bucket(stored, endpoint):
    good, bad = (stored.dispatch(flow_of(endpoint, "bucket"), "grüße", fails) for fails in (False, True))
    result = stored.ended(good)
    assert result.completed() == "grüße"
    assert result.node("speak")["stdout"] == "said grüße\n"
    # Functions and inputs are named by their content.
    uploaded = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (BUCKET / f"team/{good}").iterdir()
    }
    assert len(uploaded) == 2
    assert all(name == digest for name, digest in uploaded.items())
    assert (stored.results / good / "out.txt").read_text() == "said grüße\n" * 2
    failed = stored.ended(bad)
    assert failed.status == "FAILED"
    assert failed.node("fail")["error"].startswith("TaskError: ValueError: grüße\n")


def test_a_bucket_that_is_not_there(stored, endpoint):
    result = stored.ended(stored.dispatch(flow_of(endpoint, "nowhere"), 1, False))
    assert result.status == "FAILED"
    assert "NoSuchBucket" in result.node("speak")["error"]


def test_no_credential_is_told(stored, endpoint):
    dispatch = stored.dispatch(flow_of(endpoint, "bucket"), 1, True)
    stored.ended(dispatch)
    shown = [stored.ui(dispatch, 0), kubectl("-n", NAMESPACE, "get", "taskgroups", "-o", "json")]
    logs = [path.read_text() for path in stored.home.glob("**/taskgroup-bridge.log*")]
    assert logs
    assert "hunter2CANARY" not in f"{shown}{logs}"


def with_presign(**changes):
    """Make an executor whose pods have signed URLs and no credential."""
    return on_cluster(assets="s3://bucket/signed", presign=True, pod=POD, **changes)


def test_presigned_pods_have_no_credential(stored):
    executor = with_presign()

    @ct.electron(executor=executor)
    def speak(n):
        print("said", n)
        return n

    @ct.electron(executor=executor)
    def environment(said):
        return {**os.environ, "said": said}

    @ct.lattice(executor=executor, workflow_executor="local")
    def flow(n):
        return environment(speak(n))

    dispatch = stored.dispatch(flow, "grüße")
    result = stored.ended(dispatch)
    found = result.completed()
    assert found.pop("said") == "grüße"
    assert result.node("speak")["stdout"] == "said grüße\n"
    assert "hunter2CANARY" not in f"{found}"
    assert not [name for name in found if name.startswith(("AWS_", "TASKGROUP_SIGNED"))]
    secrets = {}
    for group in groups_of(dispatch):
        assert "X-Amz" not in f"{group}"
        mounted = [v["secret"]["secretName"] for v in group["spec"]["pod"]["volumes"] if "secret" in v]
        secrets[group["metadata"]["name"]] = mounted[0]
    assert len(set(secrets.values())) == 2
    assert set(secrets.values()) <= names_of_secrets()
    kubectl("-n", NAMESPACE, "delete", "taskgroups", *secrets)
    until("the Secrets to go", lambda: not names_of_secrets() & set(secrets.values()))
    logs = [path.read_text() for path in stored.home.glob("**/taskgroup-bridge.log*")]
    assert logs
    assert "X-Amz" not in f"{logs}"


def names_of_secrets():
    return set(kubectl("-n", NAMESPACE, "get", "secrets", "-o", "jsonpath={.items[*].metadata.name}").split())


def test_presigned_second_attempt_and_failure(stored, gate):
    executor = with_presign(retries=1)

    @ct.electron(executor=executor)
    def second_time(path):
        if not os.path.exists(path):
            with open(path, "w"):
                raise ValueError("the first time")
        return "grüße"

    @ct.electron(executor=executor)
    def fail(n):
        raise ValueError(n)

    @ct.lattice(executor=executor, workflow_executor="local")
    def flow(path):
        return fail(second_time(path))

    dispatch = stored.dispatch(flow, str(gate))
    result = stored.ended(dispatch)
    assert result.status == "FAILED"
    assert result.node("second_time")["output"].get_deserialized() == "grüße"
    assert result.node("fail")["error"].startswith("TaskError: ValueError: grüße\n")
    assert [group["status"]["attempt"] for group in groups_of(dispatch)] == [2, 2]


def test_presigned_packed_group_goes_on_where_it_was(stored, gate, packing):
    """The second attempt reads by signed URLs what the first one wrote of an earlier task of the group."""
    executor = with_presign(retries=1)

    @ct.electron(executor=executor)
    def half(n):
        return n / 2

    @ct.electron(executor=executor)
    def total(numbers, path):
        if not os.path.exists(path):
            with open(path, "w"):
                raise ValueError("the first time")
        return sum(numbers)

    @ct.lattice(executor=executor, workflow_executor="local")
    def flow(path):
        return total([half(8), half(6)], path)

    dispatch = stored.dispatch(flow, str(gate))
    assert stored.ended(dispatch).completed() == 7
    (packed,) = [group for group in groups_of(dispatch) if len(group["spec"]["tasks"]) > 1]
    # The list was made by the first attempt, and was not made again.
    assert packed["status"]["attempt"] == 2
    made = (BUCKET / "signed").rglob(f"{packed['metadata']['uid']}/a*/*/output")
    nodes = [int(task["nodeID"]) for task in packed["spec"]["tasks"]]
    assert sorted(path.parts[-3:-1] for path in made) == [("a1", str(nodes[0])), ("a2", str(nodes[1]))]


def test_presigned_cancel(stored):
    executor = with_presign()

    @ct.electron(executor=executor)
    def sleep():
        time.sleep(600)

    @ct.lattice(executor=executor, workflow_executor="local")
    def flow():
        return sleep()

    dispatch = stored.dispatch(flow)
    until("the group to run", lambda: [reason_of(group) for group in groups_of(dispatch)] == ["Running"])
    stored.cancel(dispatch)
    assert stored.ended(dispatch).status == "CANCELLED"
