"""Covalent's nodes for lists, dictionaries and unpacking, which need no TaskGroup."""

import asyncio
import json
import os
import pickle

import covalent as ct
import pytest
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent._workflow.transportable_object import TransportableObject
from covalent.executor.schemas import ResourceMap, TaskSpec
from covalent_taskgroup_plugin import archives, helpers
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import SENT, Dispatcher
from stored import Server, loaded

CALLS = []


class Custom:
    """A type of the user's, which must not be unpickled on the server."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Custom) and self.value == other.value

    def __hash__(self):
        return hash(self.value)

    def __reduce__(self):
        return _made, (self.value,)


def _made(value):
    CALLS.append(value)
    return Custom(value)


@ct.electron
def user(*args, **kwargs):
    return args or {"a": 1}


def graph_of(build):
    """Return the nodes of a lattice as Covalent builds them: {node: (name, function)}."""
    lattice = ct.lattice(build)
    lattice.build_graph()
    graph = lattice.transport_graph._graph
    return {node: (data["name"], data.get("function")) for node, data in graph.nodes(data=True)}


def function_named(name, build):
    return next(function for known, function in graph_of(build).values() if known == name)


LIST = function_named(":electron_list:", lambda: user([1]))
DICT = function_named(":electron_dict:", lambda: user({"a": 1}))
GET_ITEM = function_named(":user.__getitem__", lambda: user()[0])


def _unpack():
    first, second = user()
    return user(first, second)


UNPACK = function_named(":user()[1]", _unpack)
GET_ATTRIBUTE = function_named(":user.__getattr__", lambda: user(user().real))


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path / "server")


@pytest.fixture
def evaluate(server, tmp_path):
    def run(function, *args, hooks=None, **kwargs):
        path = server.folder / "function"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(function.serialize())
        if hooks is not None:
            (server.folder / "hooks").write_text(hooks)
        node = helpers.Node(
            function=path,
            hooks=None if hooks is None else server.folder / "hooks",
            args=[server.file(f"arg-{i}", value) for i, value in enumerate(args)],
            kwargs={name: server.file(name, value) for name, value in kwargs.items()},
        )
        CALLS.clear()
        archive = helpers.evaluate(node)
        assert CALLS == [], "user data was unpickled"
        if archive is None:
            return None
        (server.folder / "output").write_bytes(archive)
        return [loaded(server.folder / "output")]

    return run


@pytest.mark.parametrize(
    "args",
    [(), (1, "a", None), (64, [1, {"b": (2.5, b"c")}]), (Custom(1), 2, Custom([3])), (len, Custom, "ü")],
    ids=str,
)
def test_lists(evaluate, args):
    assert evaluate(LIST, *args) == [list(args)]


def test_a_list_of_10_000_elements(evaluate):
    assert evaluate(LIST, *range(10_000)) == [list(range(10_000))]
    assert evaluate(LIST, *(Custom(i) for i in range(1_000))) == [[Custom(i) for i in range(1_000)]]


@pytest.mark.parametrize("values", [[1, 2], [Custom(1), [Custom(2)]], [{"x": None}, 3]], ids=str)
def test_dictionaries(evaluate, values):
    assert evaluate(DICT, ["a", "b"], values) == [{"a": values[0], "b": values[1]}]


@pytest.mark.parametrize(
    ("container", "key"),
    [
        ((1, Custom(2)), 0),
        ((1, Custom(2)), 1),
        ([1, 2, 3], -1),
        ({"a": Custom(1)}, "a"),
        ({1: {"b": 2}}, 1),
        ("text", 2),
        (([Custom(1)],), 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("function", [GET_ITEM, UNPACK])
def test_items(evaluate, function, container, key):
    assert evaluate(function, container, key) == [container[key]]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (GET_ITEM, ((1, 2), 2)),
        (GET_ITEM, ({"a": 1}, "b")),
        (GET_ITEM, (Custom(1), 0)),
        (GET_ITEM, ((1, 2), slice(1))),
        (GET_ITEM, (3, 0)),
        (GET_ATTRIBUTE, (3, "real")),
        (DICT, ([[]], [1])),
        (TransportableObject(len), ((1,),)),
    ],
    ids=["no index", "no key", "user type", "slice", "no container", "attribute", "unhashable", "user function"],
)
def test_what_runs_in_a_pod(evaluate, function, args):
    assert evaluate(function, *args) is None


def test_a_function_of_the_user_with_the_name_of_covalents_own(evaluate):
    def _auto_list_node(*args):
        return "mine"

    assert evaluate(TransportableObject(_auto_list_node), 1) is None


@pytest.mark.parametrize(
    ("hooks", "here"),
    [
        ("", True),
        ("{}", True),
        (json.dumps({"deps": {"pip": {"type": "DepsPip", "attributes": {}}}}), True),
        (json.dumps({"deps": {"bash": {"type": "DepsBash", "attributes": {}}}}), False),
        (json.dumps({"call_before": [{"attributes": {}}]}), False),
        (json.dumps({"call_after": [{"attributes": {}}]}), False),
    ],
)
def test_hooks_of_the_user_run_in_a_pod(evaluate, hooks, here):
    assert (evaluate(LIST, 1, hooks=hooks) is not None) is here


def test_inputs_of_another_python_are_left_to_the_pod(evaluate, server, monkeypatch):
    path = server.file("other", 1)
    archive = archives.read(path)
    path.write_bytes(
        archives.Archive({**archive.header, "py_version": "3.8.1"}, archive.string, archive.pickled).encode()
    )
    (server.folder / "function").write_bytes(LIST.serialize())
    assert helpers.evaluate(helpers.Node(server.folder / "function", None, [path], {})) is None


def test_large_inputs_are_put_together_in_a_pod(evaluate, monkeypatch):
    monkeypatch.setattr(helpers, "_MAX_INPUTS", 1000)
    assert evaluate(LIST, "a" * 2000) is None


@pytest.mark.parametrize(
    "broken",
    [b"", b"\x00" * 16, b"\xff" * 100, TransportableObject(1).serialize()[:-9] + b"!!!"],
    ids=["empty", "zeros", "offsets", "base64"],
)
def test_broken_archives_are_left_to_the_pod(server, broken):
    server.folder.mkdir()
    function, argument = server.folder / "function", server.folder / "argument"
    function.write_bytes(LIST.serialize())
    argument.write_bytes(broken)
    node = helpers.Node(function, None, [argument], {})
    if (archive := helpers.evaluate(node)) is not None:
        # The bytes are not read here: the consumer reports them.
        (server.folder / "output").write_bytes(archive)
        with pytest.raises((ValueError, EOFError, KeyError, pickle.UnpicklingError)):
            loaded(server.folder / "output")
    function.write_bytes(broken)
    assert helpers.evaluate(helpers.Node(function, None, [server.file("one", 1)], {})) is None


class Exploit:
    def __reduce__(self):
        return os.system, ("exit 3",)


def test_a_pickle_is_read_without_executing_it(monkeypatch):
    pickled = pickle.dumps([1, Exploit(), {"a": Exploit()}])
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("executed"))
    value = archives.inert(pickled)
    assert value[0] == 1
    assert isinstance(value[1], archives.Opaque)
    assert not archives.is_plain(value)


def test_a_pickle_whose_containers_hold_each_other_many_times():
    value = []
    for _ in range(40):
        value = [value, value]
    assert not archives.is_plain(archives.inert(pickle.dumps(value)))


def test_a_helper_node_creates_no_task_group(play, server):
    executor = TaskGroupExecutor(assets="file:///shared")
    group = {"dispatch_id": "d", "task_group_id": 1, "node_ids": [1]}

    async def story(fake):
        (server.folder).mkdir()
        (server.folder / "function").write_bytes(LIST.serialize())
        (server.folder / "hooks").write_text("{}")
        resources = ResourceMap(
            functions={1: server.upload(executor, group, "function-1", server.folder / "function")},
            hooks={1: server.upload(executor, group, "hooks-1", server.folder / "hooks")},
            inputs={n: server.upload(executor, group, f"node_{n}", server.file(f"in-{n}", n)) for n in (2, 3)},
        )
        async with Dispatcher(executor):
            handle = await executor.send([TaskSpec(electron_id=1, args=[2, 3], kwargs={})], resources, group)
        outcome = await executor.poll(group, handle)
        (update,) = await TaskGroupExecutor().receive(group, outcome)
        assert update.status == RESULT_STATUS.COMPLETED
        path = await asyncio.to_thread(server.download, update.assets["output"].remote_uri, "output")
        assert loaded(path) == [2, 3]
        assert path.stat().st_size == update.assets["output"].size
        assert fake.requests == []

    play(story)


def test_packed_nodes_run_in_their_pod(play, server):
    executor = TaskGroupExecutor(assets=f"file://{server.folder}/assets")
    group = {"dispatch_id": "d", "task_group_id": 1, "node_ids": [1, 4]}

    async def story(fake):
        server.folder.mkdir()
        (server.folder / "function").write_bytes(LIST.serialize())
        functions = {
            n: server.upload(executor, group, f"function-{n}", server.folder / "function") for n in group["node_ids"]
        }
        specs = [TaskSpec(electron_id=1, args=[], kwargs={}), TaskSpec(electron_id=4, args=[1], kwargs={})]
        async with Dispatcher(executor):
            assert await executor.send(specs, ResourceMap(functions=functions, hooks={}, inputs={}), group) == SENT
        (sent,) = fake.bodies("/v1/send")
        # One object for the two functions, which are the same.
        assert len(set(sent["resources"]["functions"].values())) == 1

    play(story)


def test_an_outcome_that_somebody_made_up_names_no_file(server, tmp_path):
    # In push mode, every client that reaches the dispatcher can send an outcome.
    secret = tmp_path / "secret"
    secret.write_text("key")
    server.folder.mkdir(exist_ok=True)
    group = {"dispatch_id": "d", "task_group_id": 1, "node_ids": [1]}
    for name in (str(secret), "../secret", "a" * 32):
        (update,) = asyncio.run(TaskGroupExecutor().receive(group, {"output": name, "size": 3, "sha256": ""}))
        with pytest.raises((BridgeError, FileNotFoundError), match=r"secret|No such file"):
            server.download(update.assets["output"].remote_uri, "output")
        assert not (server.folder / "output").exists()
    assert secret.read_text() == "key"
