"""Executors without assets, whose objects are in the asset gateway of the cluster."""

import hashlib

import pytest
from covalent.executor.schemas import ResourceMap, TaskSpec
from covalent_taskgroup_plugin import objects, transfers
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import GROUP, SENT, Dispatcher, error
from stored import Server

STORAGE = {"assets": "gateway://team", "outputs": "gateway://team/groups"}


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(transfers, "_storages", {})
    monkeypatch.setattr(objects, "_uploaded", objects._Remembered())


@pytest.fixture
def send(tmp_path):
    """Return a function that uploads a function, as the server does, and sends it."""
    server = Server(tmp_path)
    path = server.file("function", 1)

    async def send(executor):
        uri = server.upload(executor, GROUP, "function-3", path)
        async with Dispatcher(executor):
            specs = [TaskSpec(electron_id=3, args=[], kwargs={})]
            return await executor.send(specs, ResourceMap(functions={3: uri}, inputs={}, hooks={}), GROUP)

    send.digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return send


def test_without_assets_the_gateway_has_the_objects(play, send):
    async def story(fake):
        fake.answers |= {"/v1/storage": STORAGE, "/v1/upload": {}}
        executor = TaskGroupExecutor(context="lab", namespace="team", gateway="a/b", image="i")
        for _ in range(2):
            assert await send(executor) == SENT
        # It is asked for once, and each content is uploaded once.
        (asked,) = fake.bodies("/v1/storage")
        assert asked["executor"] == {"context": "lab", "namespace": "team", "gateway": "a/b"}
        (uploaded,) = fake.bodies("/v1/upload")
        assert uploaded["executor"] == asked["executor"]
        assert uploaded["uri"] == f"gateway://team/content/{send.digest}"
        for sent in fake.bodies("/v1/send"):
            assert sent["resources"]["functions"] == {"3": uploaded["uri"]}
            assert (sent["executor"]["assets"], sent["executor"]["outputs"]) == tuple(STORAGE.values())

    play(story)


def test_other_clusters_have_other_gateways(play, send):
    async def story(fake):
        fake.answers |= {"/v1/storage": [STORAGE, {"assets": "gateway://other", "outputs": ""}], "/v1/upload": {}}
        for context in ("lab", "field", "lab"):
            await send(TaskGroupExecutor(context=context))
        assert [body["executor"]["context"] for body in fake.bodies("/v1/storage")] == ["lab", "field"]
        assets = [sent["executor"]["assets"] for sent in fake.bodies("/v1/send")]
        assert assets == ["gateway://team", "gateway://other", "gateway://team"]

    play(story)


def test_objects_are_uploaded_again_when_the_gateway_may_have_removed_them(play, send, monkeypatch):
    monkeypatch.setattr(objects, "_STORED_SECONDS", 0.0)

    async def story(fake):
        fake.answers |= {"/v1/storage": STORAGE, "/v1/upload": {}}
        for _ in range(2):
            await send(TaskGroupExecutor())
        assert len(fake.bodies("/v1/upload")) == 2

    play(story)


def test_a_cluster_without_a_gateway(play, send, monkeypatch):
    monkeypatch.setattr("covalent_taskgroup_plugin.taskgroup.CONFIGURATION_SECONDS", 0.0)

    async def story(fake):
        fake.answers["/v1/storage"] = error("Configuration", "the cluster has no asset gateway: install it")
        with pytest.raises(BridgeError, match="the cluster has no asset gateway: install it"):
            await send(TaskGroupExecutor())
        assert "/v1/send" not in fake.paths

    play(story)


def test_a_gateway_that_is_unavailable_is_waited_for(play, send):
    async def story(fake):
        unavailable = error("Unavailable", "no endpoints", retry=True, status=503)
        fake.answers |= {"/v1/storage": [unavailable, STORAGE], "/v1/upload": {}}
        assert await send(TaskGroupExecutor()) == SENT

    play(story)


def test_outputs_without_assets(play, send):
    async def story(_):
        with pytest.raises(BridgeError, match="outputs and no assets"):
            await send(TaskGroupExecutor(outputs="s3://bucket"))

    play(story)
