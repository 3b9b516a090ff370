"""A diamond, and an electron that raises, through a real Covalent server: prints "ok" or ends with what is wrong.

Usage: workflow.py ASSETS CLAIM, with a folder that pods see under the same path by the claim, and KUBECONFIG.
"""

import os
import sys

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
    env={"GREETING": "hello"},
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
def broken(n):
    raise ValueError(f"{n} is not to be had")


@ct.lattice(executor=on_cluster, workflow_executor=on_cluster)
def diamond(n):
    s = source(n)
    return join(left(s), right(s, factor=3))


@ct.lattice(executor=on_cluster, workflow_executor=on_cluster)
def failing(n):
    return broken(n)


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


if __name__ == "__main__":
    main()
