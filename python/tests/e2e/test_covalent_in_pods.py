"""What needs Covalent in the pod: sublattices and file transfers; with it, without it, and without needing it."""

import sys

import cloudpickle
import covalent as ct
import pytest
from covalent._file_transfer.strategies.shutil_strategy import Shutil
from world import ASSETS, groups_of, on_cluster, with_covalent, workflow

cloudpickle.register_pickle_by_value(sys.modules[__name__])

plain = on_cluster()
equipped = with_covalent()


@ct.electron(executor=plain)
def double(n):
    return 2 * n


@ct.electron(executor=plain)
def add(a, b):
    return a + b


def _sub(n):
    return add(double(n), double(n + 1))


# An object: a mere "local" would be given the attributes of the parent's workflow_executor.
sub = ct.electron(ct.lattice(_sub, executor=plain, workflow_executor=ct.executor.LocalExecutor()))


# A sublattice is built by its parent's workflow_executor, whatever executor the electron names.
def around(executor):
    """Make a workflow around the sublattice."""

    def outer(n):
        return double(sub(n))

    return ct.lattice(outer, executor=plain, workflow_executor=executor)


@ct.lattice(executor=equipped)
def all_in_pods(n):
    return [double(n), {"n": n}]


@ct.electron(executor=equipped)
def who():
    import covalent

    context = covalent.get_context()
    return [context.dispatch_id, context.task_id]


@ct.lattice(executor=equipped, workflow_executor="local")
def context():
    return who()


def transfer(name):
    source = ct.fs.File(f"file://{ASSETS}/{name}.txt")
    copy = ct.fs.File(f"file://{ASSETS}/{name}-copy.txt")
    return ct.fs.FileTransfer(source, copy, strategy=Shutil())


def read_copy(files=None):
    (paths,) = files
    with open(paths[1]) as copy:
        return copy.read()


read_with = ct.electron(read_copy, executor=equipped, files=[transfer("with")])
read_without = ct.electron(read_copy, executor=plain, files=[transfer("without")])


@ct.lattice(executor=plain, workflow_executor="local")
def transfer_with():
    return read_with()


@ct.lattice(executor=plain, workflow_executor="local")
def transfer_without():
    return read_without()


@pytest.fixture(scope="module", autouse=True)
def sources():
    for name in ("with", "without"):
        (ASSETS / f"{name}.txt").write_text(name)


@workflow(around("local"), 1)
def test_a_sublattice_that_the_dispatcher_builds(result):
    assert result.completed() == 12


@workflow(around(equipped), 1)
def test_a_sublattice_that_a_pod_builds(result):
    assert result.completed() == 12
    # Node 0 builds, node 4 doubles what came of it, node 5 is :postprocess:; what was built is another dispatch.
    assert [group["spec"]["tasks"][0]["nodeID"] for group in groups_of(result.dispatch)] == [0, 4, 5]


@workflow(around(plain), 1)
def test_a_sublattice_without_covalent(result):
    assert result.status == "FAILED"
    assert "the image has no module 'covalent'" in result.nodes[0]["error"]


@workflow(all_in_pods, 1)
def test_what_covalent_adds_in_a_pod(result):
    assert result.completed() == [2, {"n": 1}]


@workflow(context)
def test_the_context(result):
    assert result.completed() == [result.dispatch, 0]


@workflow(transfer_with)
def test_a_file_transfer(result):
    assert result.completed() == "with"


@workflow(transfer_without)
def test_a_file_transfer_without_covalent(result):
    assert result.status == "FAILED"
    assert "the image has no module 'covalent'" in result.nodes[0]["error"]
