"""Electrons in a queue of a real Kueue, which admits two at a time."""

import json
import os
import subprocess
import time

import covalent as ct
import pytest
from world import ASSETS, NAMESPACE, ROOT, groups_of, kubectl, on_cluster, reason_of, until, workflow

PRIORITY = "kueue.x-k8s.io/priority-class"
queued = on_cluster(queue="electrons", labels={PRIORITY: "urgent"})
QUEUES = """
apiVersion: kueue.x-k8s.io/v1beta2
kind: ResourceFlavor
metadata: {name: default}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: electrons}
spec:
  namespaceSelector: {}
  resourceGroups:
  - coveredResources: [cpu, memory]
    flavors:
    - name: default
      resources: [{name: cpu, nominalQuota: 40m}, {name: memory, nominalQuota: 1Gi}]
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata: {namespace: plugin, name: electrons}
spec: {clusterQueue: electrons}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: WorkloadPriorityClass
metadata: {name: urgent}
value: 1000
"""


@pytest.fixture(scope="module", autouse=True)
def kueue():
    image = ROOT / ".cache/images/kueue.tar"
    subprocess.run(
        [str(ROOT / "bin/cluster"), "load-image", "--name", os.environ["TASKGROUP_E2E_CLUSTER"], str(image)], check=True
    )
    install = [str(ROOT / "hack/kueue/install.sh")]
    environment = {**os.environ, "KUBECTL": os.environ["TASKGROUP_E2E_KUBECTL"]}
    subprocess.run(install, env=environment, check=True)
    kubectl("apply", "-f", "-", stdin=QUEUES)
    yield
    # A Workload is deleted with its group, while Kueue runs.
    kubectl("-n", NAMESPACE, "delete", "taskgroups", "-l", "kueue.x-k8s.io/queue-name=electrons")
    until("no workloads", lambda: not kubectl("-n", NAMESPACE, "get", "workloads", "-o", "name"))
    # The other modules are tested without Kueue's webhooks.
    subprocess.run([*install, "--remove"], env=environment, check=True)


@ct.electron(executor=queued)
def traced(n, log):
    with open(log, "a") as lines:
        lines.write("+\n")
    time.sleep(1)
    with open(log, "a") as lines:
        lines.write("-\n")
    return n * n


@ct.electron(executor=queued)
def total(*numbers):
    return sum(numbers)


@ct.electron(executor=queued)
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return path


@ct.lattice(executor=queued, workflow_executor="local")
def squares(n, log):
    return total(*[traced(i, log) for i in range(n)])


@ct.lattice(executor=queued, workflow_executor="local")
def waits(path):
    return wait_for(path)


@workflow(squares, 8, str(ASSETS / "queue.log"))
def test_electrons_share_the_quota(result):
    assert result.completed() == sum(n * n for n in range(8))
    running = peak = 0
    for line in (ASSETS / "queue.log").read_text().split():
        running += 1 if line == "+" else -1
        peak = max(peak, running)
    assert (running, peak) == (0, 2)
    workloads = json.loads(kubectl("-n", NAMESPACE, "get", "workloads", "-o", "json"))["items"]
    assert {(w["spec"]["queueName"], w["spec"]["priority"]) for w in workloads} == {("electrons", 1000)}


def test_cancel_in_the_queue(server, gate):
    holders = [server.dispatch(waits, str(gate)) for _ in range(2)]
    for holder in holders:
        until("an electron that runs", lambda holder=holder: [reason_of(g) for g in groups_of(holder)] == ["Running"])
    dispatch = server.dispatch(waits, str(gate))
    until("an electron in the queue", lambda: [reason_of(g) for g in groups_of(dispatch)] == ["Queued"])
    server.cancel(dispatch)
    assert server.ended(dispatch).status == "CANCELLED"
    (group,) = groups_of(dispatch)
    assert reason_of(group) == "Cancelled"
    assert not group["status"].get("nodeName")
    gate.touch()
    assert [server.ended(holder).completed() for holder in holders] == [str(gate)] * 2
