"""Executors without assets: their objects are in the asset gateway, and nothing but a kubeconfig is needed."""

import json
import os
import random
import re
import signal
import subprocess
import threading

import covalent as ct
import pytest
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from server import Server
from world import HOME, NAMESPACE, ROOT, APIServer, groups_of, kubectl, until, workflow

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


def test_the_api_server_is_killed(server):
    """It is killed twice during the transfers of 60 electrons, of which none is lost."""
    api_server = APIServer()
    dispatch = server.dispatch(wide, 30)
    for groups in (10, 40):
        until(f"{groups} groups", lambda least=groups: len(groups_of(dispatch)) >= least)
        assert server.status(dispatch) == "RUNNING"
        api_server.restart()
    assert server.ended(dispatch).completed() == [i << 10 for i in range(30)]
    assert len(groups_of(dispatch)) == 60


def kubeconfig_of(user, namespace):
    """Write a kubeconfig with which a user has no permission but those of the user's own bindings."""
    config = json.loads(kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["users"][0]["user"]["as"] = user
    config["contexts"][0]["context"]["namespace"] = namespace
    path = HOME / f"{user}.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def may_connect():
    """Return whether the API server knows that ada may use the gateway through the service proxy."""
    attributes = {
        "namespace": SYSTEM,
        "verb": "update",
        "resource": "services",
        "subresource": "proxy",
        "name": "https:taskgroup-gateway:https",
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "ada", "resourceAttributes": attributes},
    }
    reviewed = kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review))
    return json.loads(reviewed)["status"]["allowed"]


def test_a_dispatcher_with_the_documented_roles(server):
    """The commands of docs/gateway.md are sufficient, and the first ones alone are not."""
    kubectl("create", "namespace", "team-a")
    section = (ROOT / "docs/gateway.md").read_text().split("\n### Dispatchers\n")[1]
    commands = re.search(r"```sh\n(.*?)```", section, re.DOTALL).group(1).splitlines()
    assert [command.split()[0] for command in commands] == ["kubectl"] * 4
    executor = TaskGroupExecutor(
        kubeconfig=kubeconfig_of("ada", "team-a"), namespace="team-a", cpu="20m", memory="128Mi"
    )

    @ct.electron(executor=executor)
    def double(n):
        return 2 * n

    @ct.lattice(executor=executor, workflow_executor="local")
    def flow(n):
        return double(double(n))

    for command in commands:
        refused = server.ended(server.dispatch(flow, 21))
        assert refused.status == "FAILED", f"without {command}"
        subprocess.run(
            ["bash", "-euc", f'kubectl() {{ "$TASKGROUP_E2E_KUBECTL" "$@"; }}\n{command}'], cwd=ROOT, check=True
        )
    until("the last Role", may_connect)
    dispatch = server.dispatch(flow, 21)
    assert server.ended(dispatch).completed() == 84
    assert len(groups_of(dispatch, "team-a")) == 2
