"""Push mode: the bridge tells the dispatcher of ends, also one that was killed meanwhile."""

import os
import signal
import subprocess
import time

import covalent as ct
import pytest
from server import Server
from world import HOME, NAMESPACE, groups_of, on_cluster, reason_of, until


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return path


def after(path):
    return f"after {path}"


def chain_of(server):
    """Make a workflow of three groups that call the server back."""
    executor = on_cluster(callback=server.address)
    first, second = ct.electron(wait_for, executor=executor), ct.electron(after, executor=executor)

    def chain(path):
        return second(second(first(path)))

    return ct.lattice(chain, executor=executor, workflow_executor="local")


def total(numbers):
    return sum(numbers)


class Bridge:
    """`taskgroup executor` as a service, which no dispatcher takes with it."""

    def __init__(self, port: int) -> None:
        self.socket = HOME / f"bridge-{port}.sock"
        self._command = [
            os.environ["TASKGROUP_BRIDGE"],
            *("executor", "--listen", f"unix://{self.socket}", "--callback-hosts", f"localhost:{port}"),
            *("--kubeconfig", os.environ["KUBECONFIG"], "--namespace", NAMESPACE),
        ]
        self.start()

    def start(self) -> None:
        with (HOME / "bridge.log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until("the bridge's socket", self.socket.exists)

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture(scope="module")
def bridged():
    """A server, and the bridge that outlives it."""
    server = Server("push")
    bridge = Bridge(server.port)
    server.environment["TASKGROUP_BRIDGE_SOCKET"] = str(bridge.socket)
    server.environment["COVALENT_CACHE_DB_URL"] = f"sqlite+pysqlite:///{server.home}/counters.db"
    server.start()
    yield server, bridge
    server.stop()
    bridge.end(signal.SIGTERM)


def test_the_bridge_tells_of_every_end(bridged, gate):
    server, _ = bridged
    gate.touch()
    result = server.ended(server.dispatch(chain_of(server), str(gate)))
    assert result.completed() == f"after after {gate}"
    for group in groups_of(result.dispatch):
        node = group["spec"]["tasks"][0]["nodeID"]
        assert group["metadata"]["annotations"]["kubernetes.covalent.xyz/delivered"] == str(node)


def test_every_node_of_a_packed_group(bridged, packing):
    server, _ = bridged
    executor = on_cluster(callback=server.address)
    summed = ct.electron(total, executor=executor)
    lattice = ct.lattice(lambda: summed([1, summed([2, 3])]), executor=executor, workflow_executor="local")
    result = server.ended(server.dispatch(lattice))
    assert result.completed() == 6
    for group in groups_of(result.dispatch):
        nodes = [str(task["nodeID"]) for task in group["spec"]["tasks"]]
        assert len(nodes) == 2
        assert sorted(group["metadata"]["annotations"]["kubernetes.covalent.xyz/delivered"].split(",")) == sorted(nodes)


def test_a_dispatcher_that_is_killed_goes_on(bridged, gate):
    server, bridge = bridged
    dispatch = server.dispatch(chain_of(server), str(gate))
    until("the first group runs", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Running"])
    until("the dispatcher knows", lambda: server.now(dispatch).nodes[0]["status"] == "RUNNING")
    server.kill()
    bridge.end(signal.SIGKILL)
    gate.touch()
    until("the first group ends", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Completed"])
    bridge.start()
    server.start()
    assert server.ended(dispatch).completed() == f"after after {gate}"
