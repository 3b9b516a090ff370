"""Cancelling: before a group is sent, while it runs, after it has ended; all of a workflow and single nodes."""

import os
import signal
import sys
import time

import cloudpickle
import covalent as ct
from world import groups_of, on_cluster, reason_of, until

# A sublattice is pickled where it is written, before the tests are collected.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

cluster = on_cluster()


@ct.electron(executor=cluster)
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return path


@ct.electron(executor=cluster)
def after(path):
    return f"after {path}"


@ct.electron(executor=cluster)
def wait_for_all(paths):
    while not all(os.path.exists(path) for path in paths):
        time.sleep(0.05)


@ct.electron
@ct.lattice(executor=cluster, workflow_executor="local")
def inner(path):
    return wait_for(path)


@ct.lattice(executor=cluster, workflow_executor="local")
def nested(path):
    return inner(path)


@ct.lattice(executor=cluster, workflow_executor="local")
def packed(path):
    return wait_for_all([path, path])


@ct.lattice(executor=cluster, workflow_executor="local")
def chain(path):
    return after(wait_for(path))


@ct.lattice(executor=cluster, workflow_executor="local")
def twins(path, other):
    return wait_for(path), wait_for(other)


def running(server, dispatch, *nodes):
    """Wait until the pods of nodes run."""

    def do():
        reasons = {g["spec"]["tasks"][0]["nodeID"]: reason_of(g) for g in groups_of(dispatch)}
        return all(reasons.get(node) == "Running" for node in nodes)

    until(f"running {nodes} of {dispatch}", do)


def test_a_workflow_that_runs(server, gate):
    dispatch = server.dispatch(chain, str(gate))
    running(server, dispatch, 0)
    os.kill(server.bridge(), signal.SIGKILL)
    server.cancel(dispatch)
    result = server.ended(dispatch)
    assert [node["status"] for node in result.nodes] == ["CANCELLED", "COMPLETED", "NEW_OBJECT", "NEW_OBJECT"]
    assert result.status == "CANCELLED"
    (group,) = groups_of(dispatch)
    assert reason_of(group) == "Cancelled"


def test_a_node_among_others(server, gate):
    other = gate.with_name(gate.name + "-other")
    dispatch = server.dispatch(twins, str(gate), str(other))
    running(server, dispatch, 0, 2)
    server.cancel(dispatch, 0)
    until("the node is cancelled", lambda: server.now(dispatch).nodes[0]["status"] == "CANCELLED")
    assert server.now(dispatch).nodes[2]["status"] == "RUNNING"
    other.touch()
    result = server.ended(dispatch)
    assert [result.nodes[i]["status"] for i in (0, 2)] == ["CANCELLED", "COMPLETED"]
    assert result.status == "CANCELLED"


def test_a_node_that_was_not_sent(server, gate):
    dispatch = server.dispatch(chain, str(gate))
    running(server, dispatch, 0)
    server.cancel(dispatch, 2)
    gate.touch()
    result = server.ended(dispatch)
    assert result.nodes[0]["status"] == "COMPLETED"
    assert result.nodes[2]["status"] == "CANCELLED"
    # Covalent's runner does not call send at all.
    assert [group["spec"]["tasks"][0]["nodeID"] for group in groups_of(dispatch)] == [0]


def test_a_workflow_that_has_ended(server, gate):
    gate.touch()
    dispatch = server.dispatch(chain, str(gate))
    assert server.ended(dispatch).status == "COMPLETED"
    server.cancel(dispatch)
    # The next dispatch is through the same queue of the same server, so that the cancellation has been.
    assert server.ended(server.dispatch(chain, str(gate))).status == "COMPLETED"
    assert server.now(dispatch).status == "COMPLETED"
    groups = groups_of(dispatch)
    assert [reason_of(group) for group in groups] == ["Completed", "Completed"]


def test_before_anything_runs(server, gate):
    dispatch = server.dispatch(chain, str(gate))
    server.cancel(dispatch)
    result = server.ended(dispatch)
    assert result.status == "CANCELLED"
    assert result.nodes[0]["status"] == "CANCELLED"
    assert all(reason_of(group) == "Cancelled" for group in groups_of(dispatch))


def test_nodes_in_any_order(server, gate):
    dispatch = server.dispatch(chain, str(gate))
    running(server, dispatch, 0)
    # Covalent gives each the handle of another (_db/jobdb.py, to_job_ids).
    server.cancel(dispatch, 2, 0)
    result = server.ended(dispatch)
    assert [result.nodes[i]["status"] for i in (0, 2)] == ["CANCELLED", "NEW_OBJECT"]


def test_a_packed_group(server, gate, packing):
    dispatch = server.dispatch(packed, str(gate))
    until("the group runs", lambda: [reason_of(group) for group in groups_of(dispatch)] == ["Running"])
    nodes = [task["nodeID"] for task in groups_of(dispatch)[0]["spec"]["tasks"]]
    assert len(nodes) == 2
    server.cancel(dispatch)
    result = server.ended(dispatch)
    assert [result.nodes[node]["status"] for node in nodes] == ["CANCELLED"] * 2
    assert reason_of(groups_of(dispatch)[0]) == "Cancelled"


def test_a_sublattice(server, gate):
    dispatch = server.dispatch(nested, str(gate))

    def inside():
        return [node["sub_dispatch_id"] for node in server.manifest(dispatch) if node["sub_dispatch_id"]]

    (sub,) = until("the sublattice is dispatched", inside)
    running(server, sub, 0)
    server.cancel(dispatch)
    assert server.ended(sub).nodes[0]["status"] == "CANCELLED"
    assert server.ended(dispatch).status == "CANCELLED"
