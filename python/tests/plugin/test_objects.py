"""Uploads of functions and inputs, downloads of results, and outputs that stay in the store."""

import asyncio
import hashlib
import json
import os
import pathlib

import pytest
from covalent.executor.schemas import ResourceMap, TaskSpec
from covalent_taskgroup_plugin import archives, objects, references, transfers
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import OUTCOME, SENT, Dispatcher, error
from stored import Server, loaded

GROUP = {"dispatch_id": "d", "task_group_id": 1, "node_ids": [1]}


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch):
    for name in ("_recorded", "_origins", "_uploaded"):
        monkeypatch.setattr(objects, name, objects._Remembered())


# Covalent's own transfers write to another folder if a path has such characters.
@pytest.fixture(params=["plain", "mit Leerzeichen/größe", "100% sure"])
def folder(tmp_path, request):
    return tmp_path / request.param


@pytest.fixture
def server(folder):
    return Server(folder / "server")


def function(n):
    return n + 1


async def send(executor, server, inputs, group=GROUP, node=1):
    """Upload a function and inputs, {node: path}, as the server does, and send; return the resources that are sent."""

    def upload():
        return ResourceMap(
            functions={node: server.upload(executor, group, f"function-{node}", server.file("function", function))},
            hooks={},
            inputs={n: server.upload(executor, group, f"node_{n}", path) for n, path in inputs.items()},
        )

    resources = await asyncio.to_thread(upload)
    async with Dispatcher(executor):
        specs = [TaskSpec(electron_id=node, args=list(inputs), kwargs={})]
        assert await executor.send(specs, resources, group) == SENT


def local(uri):
    assert uri.startswith("file://")
    return objects._local(uri)


def test_each_content_is_uploaded_once(play, server, folder):
    executor = TaskGroupExecutor(assets=folder / "assets")

    async def story(fake):
        inputs = {2: server.file("a", "same"), 3: server.file("b", "same"), 4: server.file("c", "other")}
        await send(executor, server, inputs)
        await send(executor, server, inputs)
        first, second = (body["resources"] for body in fake.bodies("/v1/send"))
        assert first == second
        assert first["inputs"]["2"] == first["inputs"]["3"] != first["inputs"]["4"]
        assert [loaded(local(first["inputs"][n])) for n in "234"] == ["same", "same", "other"]
        assert loaded(local(first["functions"]["1"]))(1) == 2
        stored = sorted(path.name for path in (folder / "assets" / "d").iterdir())
        assert stored == sorted(hashlib.sha256(p.read_bytes()).hexdigest() for p in (folder / "assets" / "d").iterdir())
        assert len(stored) == 3

    play(story)


def test_many_inputs_are_uploaded_at_the_same_time(play, server, folder, monkeypatch):
    running, most = 0, 0

    async def upload(path, *_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return f"s3://b/{path.name}"

    monkeypatch.setattr(objects, "upload", upload)

    async def story(fake):
        await send(TaskGroupExecutor(assets="s3://b"), server, {n: server.file(f"in-{n}", n) for n in range(2, 300)})
        assert fake.bodies("/v1/send")[0]["resources"]["inputs"]["299"] == "s3://b/in-299"
        assert most == transfers.CONCURRENT

    play(story)


def test_other_stores_are_the_bridges(play, server):
    executor = TaskGroupExecutor(assets="gs://bucket/a", kubeconfig="/k")

    async def story(fake):
        fake.answers["/v1/upload"] = [error("Unavailable", retry=True), {"size": 1, "sha256": "x"}]
        path = server.file("in", 5)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        await send(executor, server, {2: path})
        assert fake.bodies("/v1/send")[0]["resources"]["inputs"] == {"2": f"gs://bucket/a/d/{digest}"}
        uploads = [body for body in fake.bodies("/v1/upload") if body["uri"].endswith(digest)]
        assert all(pathlib.Path(body["path"]).read_bytes() == path.read_bytes() for body in uploads)
        assert uploads[0]["executor"]["kubeconfig"] == "/k"
        # The function, the input, and one of them again.
        assert len(fake.bodies("/v1/upload")) == 3

    play(story)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_fails_the_send(play, server, folder):
    (folder / "assets").mkdir(parents=True, mode=0o500)

    async def story(fake):
        with pytest.raises(BridgeError, match="Permission denied"):
            await send(TaskGroupExecutor(assets=folder / "assets"), server, {})
        assert fake.bodies("/v1/send") == []

    play(story)


def test_a_folder_that_is_a_file_fails_the_send_at_once(play, server, folder):
    folder.mkdir(parents=True)
    (folder / "assets").write_text("")

    async def story(fake):
        with pytest.raises(BridgeError, match="copying to file://"):
            await send(TaskGroupExecutor(assets=folder / "assets"), server, {})
        assert fake.bodies("/v1/send") == []

    play(story)


def test_a_file_system_that_is_away_is_waited_for(play, server, folder, monkeypatch):
    copied = objects._copy
    tries = []

    def copy(*arguments):
        tries.append(arguments)
        if len(tries) < 4:
            raise OSError(5, "Input/output error")
        copied(*arguments)

    monkeypatch.setattr(objects, "_copy", copy)

    async def story(fake):
        await send(TaskGroupExecutor(assets=folder / "assets"), server, {})
        assert loaded(local(fake.bodies("/v1/send")[0]["resources"]["functions"]["1"]))(1) == 2

    play(story)


def output(folder, value, executor, node=1):
    """Return the update of a node as the bridge has it, with an output in the store."""
    path = Server(folder).file(f"results/{node}/output", value)
    raw = path.read_bytes()
    asset = {"remote_uri": objects_uri(path), "size": len(raw), "digest_alg": "sha256"}
    asset["digest"] = hashlib.sha256(raw).hexdigest()
    return {"dispatch_id": "d", "node_id": node, "status": {"STATUS": "COMPLETED"}, "assets": {"output": asset}}


def objects_uri(path):
    return TaskGroupExecutor(assets=path).assets


async def receive(fake, executor, update):
    fake.answers["/v1/receive"] = {"task_updates": [update]}
    (received,) = await executor.receive(GROUP, OUTCOME)
    return received.assets["output"]


def test_an_output_is_not_uploaded_again(play, server, folder):
    executor = TaskGroupExecutor(assets=folder / "assets", memory="1 GB")

    async def story(fake):
        update = output(folder, "made", executor)
        where = update["assets"]["output"]["remote_uri"]
        asset = await receive(fake, executor, update)
        path = await asyncio.to_thread(server.download, asset.remote_uri, "node/output")
        assert loaded(path) == "made"
        # With other resources, but the same storage.
        await send(executor.replace(memory="2 GB"), server, {2: path})
        assert fake.bodies("/v1/send")[0]["resources"]["inputs"] == {"2": where}
        # Another storage may not reach it, and a file that was changed is another object.
        await send(executor.replace(namespace="other"), server, {2: path})
        path.write_bytes(server.file("new", "changed").read_bytes())
        await send(executor, server, {2: path})
        copies = [body["resources"]["inputs"]["2"] for body in fake.bodies("/v1/send")[1:]]
        assert where not in copies
        assert [loaded(local(uri)) for uri in copies] == ["made", "changed"]

    play(story)


@pytest.fixture
def graph(monkeypatch):
    """Return a function that sets the successors of a node, as (executor, record, name of the edge)."""
    module = "covalent_dispatcher._core.data_modules.graph"

    def set_successors(successors):
        edges = {n: edge for n, (*_, edge) in enumerate(successors or [])}

        def nodes(dispatch_id, node_id, keys):
            return successors and [
                {"node_id": n, "executor": executor, "executor_data": record}
                for n, (executor, record, _) in enumerate(successors)
            ]

        def incoming(dispatch_id, node_id):
            return [
                {"source": 77, "target": node_id, "attrs": {"edge_name": "another"}},
                {"source": 1, "target": node_id, "attrs": {"edge_name": edges[node_id]}},
            ]

        monkeypatch.setattr(f"{module}.get_node_successors_sync", nodes)
        monkeypatch.setattr(f"{module}.get_incoming_edges_sync", incoming)

    return set_successors


# Covalent's node that ends a dispatch waits for all nodes, and reads the result only.
WAITS = ("local", {}, "!waiting_edge")


def test_a_large_output_stays_in_the_store(play, server, folder, graph):
    executor = TaskGroupExecutor(assets=folder / "assets", download_limit="2Ki")
    graph([("taskgroup", executor.replace(cpu=2).to_dict(), "data"), WAITS])

    async def story(fake):
        update = output(folder, "x" * 10_000, executor)
        where = update["assets"]["output"]["remote_uri"]
        asset = await receive(fake, executor, update)
        path = await asyncio.to_thread(server.download, asset.remote_uri, "node/output")
        assert path.stat().st_size == asset.size < 5_000
        assert hashlib.sha256(path.read_bytes()).hexdigest() == asset.digest
        # Who asks for the node's output gets the object.
        assert await asyncio.to_thread(loaded, path) == "x" * 10_000
        await send(executor, server, {2: path})
        assert fake.bodies("/v1/send")[0]["resources"]["inputs"] == {"2": where}
        # Pods of another storage get a copy.
        await send(executor.replace(namespace="other", assets=folder / "elsewhere"), server, {2: path})
        assert loaded(local(fake.bodies("/v1/send")[1]["resources"]["inputs"]["2"])) == "x" * 10_000

    play(story)


@pytest.mark.parametrize(
    ("reads", "others"),
    [
        (True, [("local", {}, "arg[0]")]),
        (True, [("taskgroup", TaskGroupExecutor(assets="s3://other").to_dict(), "data")]),
        (False, [WAITS]),
        (False, []),
        (False, None),
    ],
    ids=["the local executor", "another storage", "only waits", "nobody", "another release of Covalent"],
)
def test_an_output_that_others_read_is_downloaded(play, server, folder, graph, reads, others):
    executor = TaskGroupExecutor(assets=folder / "assets", download_limit="2Ki")
    same = [("taskgroup", executor.to_dict(), "data")]
    graph(same + others if reads else others)

    async def story(fake):
        asset = await receive(fake, executor, output(folder, "x" * 10_000, executor))
        path = await asyncio.to_thread(server.download, asset.remote_uri, "node/output")
        assert path.stat().st_size > 10_000
        assert loaded(path) == "x" * 10_000

    play(story)


def test_a_download_is_retried_and_verified(play, server, folder, monkeypatch):
    executor = TaskGroupExecutor(assets=folder / "assets")

    async def story(fake):
        update = output(folder, "made", executor)
        stored = local(update["assets"]["output"]["remote_uri"])
        asset = await receive(fake, executor, update)
        whole = stored.read_bytes()
        # A network file system that has not the whole file yet.
        stored.write_bytes(whole[:-3])
        download = asyncio.create_task(asyncio.to_thread(server.download, asset.remote_uri, "node/output"))
        while not (folder / "server" / "node").exists():
            await asyncio.sleep(0)
        assert not (folder / "server" / "node" / "output").exists()
        stored.write_bytes(whole)
        assert loaded(await download) == "made"
        assert [path.name for path in (folder / "server" / "node").iterdir()] == ["output"]
        monkeypatch.setattr(objects, "DOWNLOAD_SECONDS", 0)
        stored.write_bytes(whole[:-3])
        with pytest.raises(BridgeError, match=r"has \d+ bytes with SHA-256"):
            await asyncio.to_thread(server.download, asset.remote_uri, "node/second")
        assert [path.name for path in (folder / "server" / "node").iterdir()] == ["output"]

    play(story)


def test_downloads_of_other_stores_are_the_bridges(play, server):
    async def story(fake):
        update = {
            "dispatch_id": "d",
            "node_id": 1,
            "status": {"STATUS": "COMPLETED"},
            "assets": {"output": {"remote_uri": "s3://b/o", "size": 3, "digest_alg": "sha256", "digest": "ab"}},
        }
        asset = await receive(fake, TaskGroupExecutor(context="lab"), update)

        async def download(body):
            await asyncio.to_thread(pathlib.Path(body["path"]).write_bytes, b"abc")
            return {}

        fake.answers["/v1/download"] = [error("Unavailable", retry=True), ConnectionError(), download]
        path = await asyncio.to_thread(server.download, asset.remote_uri, "node/output")
        assert path.read_bytes() == b"abc"
        body = fake.bodies("/v1/download")[0]
        assert (body["uri"], body["size"], body["sha256"], body["executor"]) == (
            "s3://b/o",
            3,
            "ab",
            {"context": "lab"},
        )

    play(story)


def test_an_empty_object_is_not_requested(play, server):
    async def story(fake):
        empty = {"size": 0, "digest_alg": "sha256", "digest": hashlib.sha256().hexdigest()}
        update = {
            "dispatch_id": "d",
            "node_id": 1,
            "status": {"STATUS": "COMPLETED"},
            "assets": {"output": {"remote_uri": "gateway://n/groups/u/a1/1/stdout", **empty}},
        }
        asset = await receive(fake, TaskGroupExecutor(), update)
        path = await asyncio.to_thread(server.download, asset.remote_uri, "node/stdout")
        assert path.read_bytes() == b""
        assert fake.bodies("/v1/download") == []

    play(story)


def test_what_storage_is():
    base = TaskGroupExecutor(assets="s3://b", pod={"image": "i", "resources": {"requests": {"cpu": "1"}}})
    same = base.replace(memory="1 GB", retries=3, image="j", queue="q", pod={"image": "k"}, labels={"a": "b"})
    assert references.storage_of(base.__dict__) == references.storage_of(same.__dict__)
    for change in (
        {"namespace": "n"},
        {"secrets": ["s"]},
        {"volumes": {"/a": "b"}},
        {"service_account": "s"},
        {"outputs": "s3://c"},
        {"env": {"AWS_ENDPOINT_URL": "x"}},
        {"pod": {"volumes": [{"name": "a", "emptyDir": {}}]}},
    ):
        assert references.storage_of(base.__dict__) != references.storage_of(base.replace(**change).__dict__), change


def test_a_process_that_was_forked_loads_references(server, folder):
    path = Server(folder).file("stored", "made")
    raw = path.read_bytes()
    made = references.Reference(objects_uri(path), len(raw), hashlib.sha256(raw).hexdigest(), "storage", {})
    (folder / "reference").write_bytes(objects.archive_of(made))
    asyncio.run(asyncio.to_thread(loaded, folder / "reference"))
    child = os.fork()
    if child == 0:
        os._exit(0 if loaded(folder / "reference") == "made" else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_reference_that_a_pod_made_up_is_no_reference(play, server, folder):
    """A pod and a client can name files of the server: they are not read."""
    executor = TaskGroupExecutor(assets=folder / "assets", download_limit="2Ki")
    secret = server.file("secret", "the server's")
    named = references.Reference(objects_uri(secret), secret.stat().st_size, "", "another storage", {})
    genuine = objects.archive_of(named)
    (folder / "genuine").write_bytes(genuine)
    changes = {
        "no MAC": lambda fields: fields.pop("mac"),
        "another MAC": lambda fields: fields.update(mac="0" * 64),
        "another object": lambda fields: fields.update(uri="file:///etc/passwd"),
        "an unknown field": lambda fields: fields.update(more=1),
    }
    header = archives.read_header(folder / "genuine")
    assert references.of(header) == named
    for change in changes.values():
        forged = json.loads(json.dumps(header))
        change(forged["taskgroup_object"])
        assert references.of(forged) is None
    forged = json.loads(json.dumps(header))
    changes["no MAC"](forged["taskgroup_object"])
    path = server.folder / "forged"
    path.write_bytes(archives.Archive(forged, "", b"").encode())

    async def story(fake):
        await send(executor, server, {2: path})
        # It is uploaded as any other input.
        assert local(fake.bodies("/v1/send")[0]["resources"]["inputs"]["2"]).read_bytes() == path.read_bytes()

    play(story)


def test_the_key_of_references_is_the_servers(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "get_config", lambda _: str(tmp_path / "data"))
    keys = set()
    for _ in range(2):
        references._key.cache_clear()
        keys.add(references._key())
    assert len(keys) == 1
    (file,) = (tmp_path / "data").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"short")
    references._key.cache_clear()
    with pytest.raises(OSError, match="has 5 bytes"):
        references._key()
    references._key.cache_clear()


def test_uploads_that_are_never_sent_are_forgotten(monkeypatch):
    monkeypatch.setattr(objects, "_REMEMBERED", 3)
    remembered = objects._Remembered()
    for n in range(10):
        remembered.put(str(n), n)
    assert [remembered.get(str(n)) for n in range(10)] == [None] * 7 + [7, 8, 9]


def test_hooks_that_are_none_are_not_uploaded(play, server, folder):
    executor = TaskGroupExecutor(assets=folder / "assets")
    contents = {1: "{}", 2: "", 3: '{"deps": {}}'}
    group = {"dispatch_id": "d", "task_group_id": 1, "node_ids": list(contents)}

    async def story(fake):
        def upload(node, content):
            path = server.file(f"function-{node}", function)
            hooks = path.with_name(f"hooks-{node}")
            hooks.write_text(content)
            return (server.upload(executor, group, p.name, p) for p in (path, hooks))

        uris = {node: tuple(upload(node, content)) for node, content in contents.items()}
        resources = ResourceMap(
            functions={node: uri for node, (uri, _) in uris.items()},
            hooks={node: uri for node, (_, uri) in uris.items()},
            inputs={},
        )
        async with Dispatcher(executor):
            specs = [TaskSpec(electron_id=node, args=[], kwargs={}) for node in contents]
            assert await executor.send(specs, resources, group) == SENT
        sent = fake.bodies("/v1/send")[0]["resources"]
        assert list(sent["functions"]) == ["1", "2", "3"]
        assert list(sent["hooks"]) == ["3"]
        assert local(sent["hooks"]["3"]).read_text() == contents[3]

    play(story)


def test_an_upload_that_was_not_recorded_is_an_error(play):
    executor = TaskGroupExecutor(assets="/a")

    async def story(_):
        resources = ResourceMap(functions={1: executor.get_upload_uri(GROUP, "function-1")}, hooks={}, inputs={})
        async with Dispatcher(executor):
            with pytest.raises(BridgeError, match="nothing was uploaded to taskgroup://upload/d/1/function-1"):
                await executor.send([TaskSpec(electron_id=1, args=[], kwargs={})], resources, GROUP)

    play(story)
