"""A task with 10,000 arguments, and a list of 10,000 elements.

Covalent's server takes half an hour for a workflow of that size; test_collections.py has smaller ones, whose size
TASKGROUP_E2E_ELEMENTS and TASKGROUP_E2E_PRODUCERS set. Here the test is the server.
"""

import asyncio
import sys
import uuid
from pathlib import Path

import pytest
from covalent._file_transfer import FileTransfer
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent._workflow.transportable_object import TransportableObject
from covalent.executor.schemas import ResourceMap, TaskSpec
from world import groups_of, on_cluster

sys.path.append(str(Path(__file__).parents[1] / "plugin"))
from fake import Dispatcher

COUNT = 10_000
NODE = COUNT


def weighted(*numbers):
    return sum(i * n for i, n in enumerate(numbers))


@pytest.fixture
def group():
    return {"dispatch_id": str(uuid.uuid4()), "task_group_id": NODE, "node_ids": [NODE]}


def transfer(source, target):
    """Copy a file as Covalent's server does."""
    _, copy = FileTransfer(source, target).cp()
    copy()


def upload(executor, group, folder, function):
    """Store the objects of a task as Covalent's server does, and return where they are."""

    def put(key, value):
        path = folder / key
        path.write_bytes(TransportableObject(value).serialize())
        uri = executor.get_upload_uri(group, key)
        transfer(f"file://{path}", uri)
        return uri

    inputs = {node: put(f"node_{node}", node) for node in range(COUNT)}
    return ResourceMap(functions={NODE: put(f"function-{NODE}", function)}, inputs=inputs, hooks={})


async def run(executor, group, resources):
    """Run a task to its end and return its update."""
    specs = [TaskSpec(electron_id=NODE, args=list(range(COUNT)), kwargs={})]
    async with Dispatcher(executor):
        handle = await executor.send(specs, resources, group)
        outcome = await executor.poll(group, handle)
        (update,) = await executor.receive(group, outcome)
    return update


def output(update, folder):
    transfer(update.assets["output"].remote_uri, f"file://{folder}/output")
    return TransportableObject.deserialize((folder / "output").read_bytes()).get_deserialized()


def test_ten_thousand_arguments(group, tmp_path):
    executor = on_cluster(memory="512Mi")
    resources = upload(executor, group, tmp_path, weighted)
    update = asyncio.run(run(executor, group, resources))
    assert update.status == RESULT_STATUS.COMPLETED, update
    assert output(update, tmp_path) == sum(i * i for i in range(COUNT))
    (sent,) = groups_of(group["dispatch_id"])
    assert len(str(sent["spec"])) < 4_000


def test_a_list_of_ten_thousand_elements(group, tmp_path):
    """Covalent's node for a list needs no TaskGroup."""
    executor = on_cluster()
    resources = upload(executor, group, tmp_path, list_node())
    update = asyncio.run(run(executor, group, resources))
    assert update.status == RESULT_STATUS.COMPLETED
    assert output(update, tmp_path) == list(range(COUNT))
    assert groups_of(group["dispatch_id"]) == []


def list_node():
    """Return the function of Covalent's node for lists."""
    import covalent as ct

    @ct.electron(executor="local")
    def first(numbers):
        return numbers[0]

    @ct.lattice(executor="local", workflow_executor="local")
    def flow():
        return first([1])

    flow.build_graph()
    graph = flow.transport_graph
    names = {node: graph.get_node_value(node, "name") for node in graph._graph.nodes}
    (node,) = [node for node, name in names.items() if name.startswith(":electron_list:")]
    return graph.get_node_value(node, "function").get_deserialized()
