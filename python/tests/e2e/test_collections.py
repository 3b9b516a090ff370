"""Long lists, nodes that Covalent makes of lists and dictionaries, and outputs that stay in the store."""

import os
from urllib.parse import unquote

import covalent as ct
import pytest
from world import ASSETS, groups_of, on_cluster, workflow

cluster = on_cluster()
# Covalent's server takes about 0.15 s for each node of a workflow.
ELEMENTS = int(os.environ.get("TASKGROUP_E2E_ELEMENTS", "1000"))
PRODUCERS = int(os.environ.get("TASKGROUP_E2E_PRODUCERS", "300"))
SECONDS = 120 + 0.6 * (ELEMENTS + PRODUCERS)


@ct.electron(executor=cluster)
def total(numbers):
    return sum(i * n for i, n in enumerate(numbers))


@ct.electron(executor="local")
def double(n):
    return 2 * n


@ct.electron(executor=cluster)
def weighted(*numbers, factor):
    return sum(i * n for i, n in enumerate(numbers)) * factor


@ct.electron(executor=cluster)
def train(config):
    return config["lr"] * sum(config["layers"])


@ct.electron(executor=cluster)
def split(n):
    return {"half": n / 2, "parts": [n, (n + 1, {n + 2})]}


@ct.electron(executor=cluster)
def join(*values):
    return values


@ct.lattice(executor=cluster, workflow_executor="local")
def of_a_list(n):
    return total(list(range(n)))


@ct.lattice(executor=cluster, workflow_executor="local")
def of_a_fan_in(n):
    return total([double(i) for i in range(n)])


@ct.lattice(executor=cluster, workflow_executor="local")
def of_many_arguments(n):
    return weighted(*range(n), factor=3)


@ct.lattice(executor=cluster, workflow_executor="local")
def of_a_configuration():
    return train({"lr": 0.5, "layers": [64, 64]})


@ct.lattice(executor=cluster, workflow_executor="local")
def of_parts(n):
    parts = split(n)
    first, (second, third) = parts["parts"]
    return join(parts["half"], first, second, third, {"again": [parts["half"]]})


def products(n):
    return sum(i * i for i in range(n))


@pytest.fixture(scope="module")
def patient(server, dispatched):
    """Return a function that waits for a dispatch of many nodes."""
    return lambda name: server.ended(dispatched[name], SECONDS)


@workflow(of_a_list, ELEMENTS)
def test_a_list(patient, request):
    result = patient(request.node.name)
    assert result.completed() == products(ELEMENTS)
    assert len(groups_of(result.dispatch)) == 1


@workflow(of_a_fan_in, PRODUCERS)
def test_a_fan_in(patient, request):
    result = patient(request.node.name)
    assert result.completed() == 2 * products(PRODUCERS)
    assert len(groups_of(result.dispatch)) == 1


@workflow(of_many_arguments, PRODUCERS)
def test_many_arguments(patient, request):
    result = patient(request.node.name)
    assert result.completed() == 3 * products(PRODUCERS)
    (group,) = groups_of(result.dispatch)
    assert "inputs" not in group["spec"]["assets"]
    assert "args" not in group["spec"]["tasks"][0]
    index = group["spec"]["assets"]["index"]
    assert (ASSETS / result.dispatch / f"{index['sha256']}.json").stat().st_size == index["size"]


@workflow(of_a_configuration)
def test_a_dictionary_with_a_list_needs_one_group(result):
    assert result.completed() == 64.0
    assert [len(group["spec"]["tasks"]) for group in groups_of(result.dispatch)] == [1]


@workflow(of_parts, 4)
def test_unpacking_needs_no_group(result):
    assert result.completed() == (2.0, 4, 5, {6}, {"again": [2.0]})
    assert len(groups_of(result.dispatch)) == 2


# Large outputs.

# The user of the pods.
POD_USER = 65532
# The server's files of nodes are small, unless they have a copy of the object.
SIZE = 4 << 20
folder = ASSETS / "mit Leerzeichen/größe & mehr"
referring = on_cluster(assets=folder, download_limit="64Ki")


@pytest.fixture(scope="module", autouse=True)
def writable():
    """The dispatcher is root, which the pods are not."""
    folder.mkdir(parents=True)
    for path in (folder.parent, folder):
        os.chown(path, POD_USER, POD_USER)


@ct.electron(executor=referring)
def make(size):
    return bytes(size)


@ct.electron(executor=referring)
def forward(data):
    return data


@ct.electron(executor=referring)
def length(data):
    return len(data)


@ct.lattice(executor=referring, workflow_executor="local")
def passing(size):
    return length(forward(make(size)))


@ct.lattice(executor=referring, workflow_executor="local")
def returning(size):
    return forward(make(size))


@workflow(passing, SIZE)
def test_large_outputs_stay_in_the_store(result):
    assert result.completed() == SIZE
    made, forwarded, counted = groups_of(result.dispatch)
    results = folder / "results"
    for producer, consumer in ((made, forwarded), (forwarded, counted)):
        node = producer["spec"]["tasks"][0]["nodeID"]
        uri = consumer["spec"]["assets"]["inputs"][str(node)]
        assert unquote(uri) == f"file://{results}/{producer['metadata']['uid']}/a1/{node}/output"
    server_files = [path for path in (result.server.results / result.dispatch).rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in server_files) < 1 << 20
    # Who asks for an output gets it.
    assert result.node("make")["output"].get_deserialized() == bytes(SIZE)


@workflow(returning, SIZE)
def test_a_large_result_is_downloaded(result):
    assert result.completed() == bytes(SIZE)
