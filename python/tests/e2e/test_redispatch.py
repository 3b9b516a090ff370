"""Dispatching again what has failed."""

import os

import covalent as ct
from world import ASSETS, groups_of, on_cluster

cluster = on_cluster()


@ct.electron(executor=cluster)
def source(n):
    print("once")
    return n


@ct.electron(executor=cluster)
def needy(n, path):
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    return n + 1


@ct.lattice(executor=cluster, workflow_executor="local")
def flow(n, path):
    return needy(source(n), path)


def test_completed_nodes_are_not_sent_again(server):
    path = ASSETS / "needed"
    first = server.ended(server.dispatch(flow, 1, str(path)))
    assert first.status == "FAILED"
    path.touch()
    again = ct.redispatch(first.dispatch, reuse_previous_results=True, dispatcher_addr=server.address)()
    second = server.ended(again)
    assert second.completed() == 2
    assert second.node("source")["stdout"] == "once\n"
    nodes = [[group["spec"]["tasks"][0]["nodeID"] for group in groups_of(d)] for d in (first.dispatch, again)]
    assert nodes == [[0, 2], [2]]
    third = ct.redispatch(again, reuse_previous_results=True, dispatcher_addr=server.address)(5, str(path))
    assert server.ended(third).completed() == 6
    assert [group["spec"]["tasks"][0]["nodeID"] for group in groups_of(third)] == [0, 2]
