"""Executors without assets: their objects are in the asset gateway, and nothing but a kubeconfig is needed."""

import os
import random
import signal
import threading

import covalent as ct
import pytest
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from server import Server
from world import NAMESPACE, groups_of, kubectl, until, workflow

SYSTEM = "taskgroup-system"
gateway = TaskGroupExecutor(
    kubeconfig=os.environ["KUBECONFIG"], namespace=NAMESPACE, cpu="20m", memory="128Mi", download_limit="64Ki"
)


@ct.electron(executor=gateway)
def hits(seed, throws):
    source = random.Random(seed)
    print("throws", throws)
    return sum(source.random() ** 2 + source.random() ** 2 < 1 for _ in range(throws))


@ct.electron(executor=gateway)
def estimate(throws, *counts):
    return 4 * sum(counts) / (throws * len(counts))


@ct.electron(executor=gateway)
def make(size):
    return bytes(size)


@ct.electron(executor=gateway)
def length(data):
    return len(data)


@ct.electron(executor=gateway)
def weighted(*numbers, factor):
    return sum(i * n for i, n in enumerate(numbers)) * factor


@ct.electron(executor=gateway)
def broken(n):
    raise ValueError(f"{n} is not available")


@ct.lattice(executor=gateway, workflow_executor="local")
def pi(throws):
    return estimate(throws, *[hits(seed, throws) for seed in range(4)])


@ct.lattice(executor=gateway, workflow_executor="local")
def passing(size):
    return length(make(size))


@ct.lattice(executor=gateway, workflow_executor="local")
def of_many_arguments(n):
    return weighted(*range(n), factor=3)


@ct.lattice(executor=gateway, workflow_executor="local")
def failing(n):
    return broken(n)


@ct.lattice(executor=gateway, workflow_executor="local")
def wide(n):
    return [length(make(i << 10)) for i in range(n)]


@workflow(pi, 10_000)
def test_a_workflow(result):
    assert 3 < result.completed() < 3.3
    assert result.node("hits")["stdout"] == "throws 10000\n"
    for group in groups_of(result.dispatch):
        assets = group["spec"]["assets"]
        assert assets["outputs"] == f"gateway://{NAMESPACE}/groups"
        assert all(uri.startswith(f"gateway://{NAMESPACE}/content/") for uri in assets["functions"].values())
        assert "volumes" not in group["spec"].get("pod", {})


@workflow(passing, 4 << 20)
def test_a_large_output_stays_in_the_gateway(result):
    assert result.completed() == 4 << 20
    made, counted = groups_of(result.dispatch)
    (uri,) = counted["spec"]["assets"]["inputs"].values()
    assert uri == f"gateway://{NAMESPACE}/groups/{made['metadata']['uid']}/a1/0/output"
    files = [path for path in (result.server.results / result.dispatch).rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 1 << 20
    # Who asks for it gets it.
    assert result.node("make")["output"].get_deserialized() == bytes(4 << 20)


@workflow(of_many_arguments, 300)
def test_an_index_in_the_gateway(result):
    assert result.completed() == 3 * sum(i * i for i in range(300))
    (group,) = groups_of(result.dispatch)
    assert group["spec"]["assets"]["index"]["uri"].startswith(f"gateway://{NAMESPACE}/content/")


@workflow(failing, 3)
def test_an_electron_that_raises(result):
    assert result.status == "FAILED"
    assert "ValueError: 3 is not available" in result.said("broken")


@pytest.fixture
def disturbed():
    """A server of its own, whose bridge is killed."""
    server = Server("gateway")
    yield server.start()
    server.stop()


def test_gateway_and_bridge_are_killed(disturbed):
    """Each is killed several times during more than 100 transfers, of which none is lost."""
    dispatch = disturbed.dispatch(wide, 30)
    ended = threading.Event()

    def kill():
        while not ended.wait(4):
            kubectl(
                "-n",
                SYSTEM,
                "delete",
                "pod",
                "-l",
                "app.kubernetes.io/name=taskgroup-gateway",
                "--force",
                "--grace-period=0",
            )
            os.kill(disturbed.bridge(), signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        assert until("the first results", lambda: len(groups_of(dispatch)) > 20)
    finally:
        ended.set()
        killing.join()
    assert disturbed.ended(dispatch).completed() == [i << 10 for i in range(30)]
