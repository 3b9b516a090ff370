"""The demo's workflow: three electrons side by side on the cluster, and one that joins them.

    covalent_workflow.py NAMESPACE ASSETS POD IMAGE

ASSETS is the URI of the objects, or empty for the asset gateway of the cluster; POD is the
spec.pod that takes pods there, as JSON, and IMAGE their image. Exits 1 unless the result is right.
"""

import json
import os
import sys

import covalent as ct
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

NAMESPACE, ASSETS, POD, IMAGE = sys.argv[1:]

on_cluster = TaskGroupExecutor(
    kubeconfig=os.environ.get("KUBECONFIG", ""),
    namespace=NAMESPACE,
    image=IMAGE,
    cpu="100m",
    memory="256Mi",
    time_limit=120,
    assets=ASSETS,
    pod=json.loads(POD),
)


@ct.electron(executor=on_cluster)
def hits(seed, throws):
    import numpy

    x, y = numpy.random.default_rng(seed).random((2, throws))
    inside = int((x * x + y * y < 1).sum())
    print(f"{inside} of {throws} throws are inside")
    return inside


@ct.electron(executor=on_cluster)
def estimate(throws, *counts):
    return 4 * sum(counts) / (throws * len(counts))


# What Covalent adds to a workflow runs on the dispatcher's machine, which has Covalent.
@ct.lattice(executor=on_cluster, workflow_executor="local")
def pi(throws):
    return estimate(throws, hits(1, throws), hits(2, throws), hits(3, throws))


def main():
    dispatch_id = ct.dispatch(pi)(1_000_000)
    result = ct.get_result(dispatch_id, wait=True)
    if str(result.status) != "COMPLETED" or abs(result.result - 3.14159) > 0.01:
        sys.exit(f"the workflow did not end as it should:\n{result}")
    print(f"dispatch {dispatch_id}: {result.status}, pi is about {result.result:.5f}")
    print(f"  hits(1) printed: {result.get_node_result(0)['stdout'].strip()}")


if __name__ == "__main__":
    main()
