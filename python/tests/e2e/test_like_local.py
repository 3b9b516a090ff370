"""The same workflow on the cluster and by Covalent's own executor, node by node."""

import sys
import warnings

import cloudpickle
import covalent as ct
import pytest
from world import on_cluster

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def speak(n):
    print("to stdout", n)
    print("to stderr", n, file=sys.stderr)
    warnings.warn("beware", stacklevel=1)
    return {"n": n, "list": [n] * 3}


def take(mapping, *rest, key="n"):
    return mapping[key], rest


def context():
    print("no newline", end="")


def fail(n):
    print("before the end")
    raise KeyError(n)


def flows(executor):
    """Make a workflow that completes and one that fails, of the same functions."""
    spoken, taken, silent, failed = (ct.electron(f, executor=executor) for f in (speak, take, context, fail))

    def good(n):
        first = spoken(n)
        return taken(first, 1, 2, key="list"), first["n"], silent(), taken(spoken(n=4))

    def bad(n):
        return failed(spoken(n)["n"])

    return [ct.lattice(flow, executor=executor, workflow_executor="local") for flow in (good, bad)]


@pytest.fixture(scope="module")
def pairs(server):
    """The results of the good and the bad workflow, each [on the cluster, local]."""
    here, there = flows("local"), flows(on_cluster())
    dispatches = [[server.dispatch(lattice, 7) for lattice in pair] for pair in zip(there, here, strict=True)]
    return [[server.ended(dispatch) for dispatch in pair] for pair in dispatches]


def shown(node):
    return {key: node[key] for key in ("node_id", "node_name", "status", "stdout")}


def value_of(node):
    return node["output"] and node["output"].get_deserialized()


def without_source(text):
    """Leave out what Python quotes of the source in warnings, which a pod does not have."""
    return [line for line in (text or "").splitlines() if not line.startswith("  ")]


def with_file(text):
    """Name the file in what Covalent's own executor wrote, which newer releases of cloudpickle replace."""
    return (text or "").replace("<dynamic-code>", __file__)


def test_results(pairs):
    (cluster, local), _ = pairs
    assert cluster.completed() == local.completed()
    assert [shown(node) for node in cluster.nodes] == [shown(node) for node in local.nodes]
    for ours, theirs in zip(cluster.nodes, local.nodes, strict=True):
        assert value_of(ours) == value_of(theirs), ours
        assert without_source(ours["stderr"]) == without_source(with_file(theirs["stderr"])), ours


def test_failures(pairs):
    _, (cluster, local) = pairs
    assert (cluster.status, cluster.value) == (local.status, local.value) == ("FAILED", None)
    assert [shown(node) for node in cluster.nodes] == [shown(node) for node in local.nodes]
    ours, theirs = cluster.node("fail"), local.node("fail")
    # The pod has neither Covalent's frames nor source lines. Covalent's own executor leaves error empty.
    frame = f'File "{__file__}", line {fail.__code__.co_firstlineno + 2}, in fail\n'
    for text in (ours["error"], ours["stderr"], with_file(theirs["stderr"])):
        assert "Traceback (most recent call last):\n" in text
        assert frame in text
        assert text.rstrip().endswith("KeyError: 7")
    assert ours["error"].startswith("TaskError: KeyError: 7\n")
    assert not theirs["error"]
    # The UI of 0.240 looks for files of nodes beside the dispatches' folders, whatever the executor.
    assert [result.server.ui(result.dispatch, 4, "error")["data"] for result in (cluster, local)] == ["", ""]
