"""The operator ends in the middle of a workflow; a workflow is in two places; a server stops."""

import os
import time

import covalent as ct
from server import Server
from world import OTHER_NAMESPACE, groups_of, kubectl, on_cluster, reason_of, until

cluster = on_cluster()
elsewhere = on_cluster(namespace=OTHER_NAMESPACE, context="elsewhere")


@ct.electron(executor=cluster)
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return path


@ct.electron(executor=elsewhere)
def follow(path):
    return f"elsewhere after {path}"


@ct.lattice(executor=cluster, workflow_executor="local")
def chain(path):
    return follow(wait_for(path))


@ct.electron(executor=cluster)
def early(path):
    return path


@ct.lattice(executor=cluster, workflow_executor="local")
def two_steps(path):
    return wait_for(early(path))


def until_it_runs(dispatch):
    until("the group runs", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Running"])


def test_the_operator_is_deleted(server, gate):
    dispatch = server.dispatch(chain, str(gate))
    until_it_runs(dispatch)
    operator = ("-n", "taskgroup-system", "delete", "pod", "--all", "--now", "--wait=false")
    kubectl(*operator)
    gate.touch()
    assert server.ended(dispatch).completed() == f"elsewhere after {gate}"
    # The second group is of another namespace, by another context.
    assert [len(groups_of(dispatch, namespace)) for namespace in ("plugin", OTHER_NAMESPACE)] == [1, 1]


def test_a_server_that_is_stopped(gate):
    server = Server("stopped").start()
    dispatch = server.dispatch(chain, str(gate))
    until_it_runs(dispatch)
    server.stop()
    until("it is cancelled", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Cancelled"], 30)


def test_a_server_that_is_killed(gate):
    server = Server("killed").start()
    dispatch = server.dispatch(two_steps, str(gate))
    until("the second group runs", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Completed", "Running"])
    server.kill()
    gate.touch()
    until("it ends for nobody", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Completed"] * 2)
    server.start()
    # Nobody polls any more. Told of the end, the dispatcher takes the result and gives up: its counters are gone.
    assert server.status(dispatch) == "RUNNING"
    server.tell(dispatch, 2)
    ended = server.ended(dispatch)
    assert (ended.status, ended.nodes[2]["status"]) == ("FAILED", "COMPLETED")
    # What was done is not done again.
    again = ct.redispatch(dispatch, reuse_previous_results=True, dispatcher_addr=server.address)()
    assert server.ended(again).completed() == str(gate)
    assert groups_of(again) == []
    server.stop()
