"""A diamond, an electron that raises, and one that is cancelled while the bridge is killed, through a real Covalent.

Prints what came of them, or ends with what is not as it should be.

Usage: workflow.py ASSETS CLAIM, with a folder that pods see under the same path by the claim;
KUBECONFIG and XDG_RUNTIME_DIR are the server's.
"""

import glob
import http.client
import json
import os
import signal
import socket
import sys
import time

import covalent as ct
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

ASSETS, CLAIM = sys.argv[1:]

on_cluster = TaskGroupExecutor(
    kubeconfig=os.environ["KUBECONFIG"],
    namespace="plugin",
    assets=f"file://{ASSETS}",
    cpu="100m",
    memory="128Mi",
    time_limit=120,
    queued_seconds=120,
    starting_seconds=120,
    # The image's cloudpickle is Debian's, too old for the pickles of Covalent's.
    env={"GREETING": "hello", "PYTHONPATH": f"{ASSETS}/site"},
    pod={
        "volumes": [{"name": "assets", "persistentVolumeClaim": {"claimName": CLAIM}}],
        "volumeMounts": [{"name": "assets", "mountPath": ASSETS}],
    },
)


@ct.electron(executor=on_cluster)
def source(n):
    print("from", n)
    return n


@ct.electron(executor=on_cluster)
def left(n):
    return n + 1


@ct.electron(executor=on_cluster)
def right(n, factor=2):
    return n * factor


@ct.electron(executor=on_cluster)
def join(a, b):
    import os

    return {"sum": a + b, "said": os.environ["GREETING"]}


@ct.electron(executor=on_cluster)
def endless():
    import signal

    signal.pause()


@ct.electron(executor=on_cluster)
def broken(n):
    raise ValueError(f"{n} is not to be had")


# What Covalent itself adds to a workflow needs Covalent, which the image does not have: the dispatcher's machine has.
@ct.lattice(executor=on_cluster, workflow_executor="local")
def diamond(n):
    s = source(n)
    return join(left(s), right(s, factor=3))


@ct.lattice(executor=on_cluster, workflow_executor="local")
def failing(n):
    return broken(n)


@ct.lattice(executor=on_cluster, workflow_executor="local")
def waiting():
    return endless()


def kill_bridge():
    """End the server's bridge as nothing expects it; its version says which process it is."""
    (path,) = glob.glob(os.path.join(os.environ["XDG_RUNTIME_DIR"], "taskgroup-*", "bridge.sock"))
    connection = http.client.HTTPConnection("bridge")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", "/v1/version")
    os.kill(json.load(connection.getresponse())["pid"], signal.SIGKILL)


def cancelled():
    """Cancel a dispatch that runs, after its bridge was killed."""
    dispatch = ct.dispatch(waiting)()
    deadline = time.monotonic() + 60
    while str(ct.get_result(dispatch).get_node_result(0)["status"]) != "RUNNING":
        check(time.monotonic() < deadline, ct.get_result(dispatch))
    kill_bridge()
    ct.cancel(dispatch)
    result = ct.get_result(dispatch, wait=True)
    check(str(result.get_node_result(0)["status"]) == "CANCELLED", result)
    return result


def check(condition, result):
    """End with the whole result where a condition does not hold."""
    if not condition:
        sys.exit(f"not as expected:\n{result}")


def main():
    dispatches = [ct.dispatch(diamond)(7), ct.dispatch(failing)(3)]
    good, bad = (ct.get_result(d, wait=True) for d in dispatches)
    check(str(good.status) == "COMPLETED", good)
    check(good.result == {"sum": 29, "said": "hello"}, good)
    check(good.get_node_result(0)["stdout"].strip() == "from 7", good.get_node_result(0))
    check(str(bad.status) == "FAILED", bad)
    node = bad.get_node_result(0)
    check("ValueError: 3 is not to be had" in f"{node['error']}{node['stderr']}", node)
    print(node["error"])
    print(f"diamond {good.dispatch_id} {good.status} {good.result}")
    print(f"failing {bad.dispatch_id} {bad.status}")
    ended = cancelled()
    print(f"waiting {ended.dispatch_id} {ended.status}")


if __name__ == "__main__":
    main()
