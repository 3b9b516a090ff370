"""Measures how long an electron takes from its dispatch to its result, by executor, and where the time goes.

Every round dispatches, for each executor in turn, a workflow of one electron and one of
many that do not depend on each other; every electron returns its argument. The executors are
Covalent's local and dask, and TaskGroups with their objects on a volume (taskgroup), in the
asset gateway (gateway) and in an S3 server (s3). Two further scenarios have TaskGroups on a
volume only: an electron with a dictionary of lists as its argument, and a chain of three
electrons that pass a large object on. run.sh has the server, the stores and the cluster.
Usage: bench.py --assets FOLDER [--buckets FOLDER] [--scenario NAME] [--executors NAME,...] [--rounds N]
                [--width N] [--mebibytes N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import covalent as ct
from covalent._shared_files.config import get_config
from stores import NAMESPACE, Store, in_bucket, in_gateway, kubectl, on_volume
from watch import Object, Watch

EXECUTORS = ("local", "dask", "taskgroup", "gateway", "s3")
MEMORY = "64Mi"
LABEL = "kubernetes.covalent.xyz/taskgroup"

# The times of an electron's life in their order; each phase is from one to the next. Electrons of Covalent's own
# executors have those of Covalent alone.
PHASES = {
    "prepare": "Covalent: dispatch, uploads, until the node starts",
    "send": "plugin and bridge: until the TaskGroup is there",
    "cluster": "operator and Job controller: until the pod is there",
    "pod": "scheduler, kubelet, containerd: until the runner starts",
    "python": "runner: inputs, Python, the function, results",
    "told": "kubelet and operator: until the TaskGroup is Finished",
    "receive": "bridge, plugin, Covalent's downloads: until the node ends",
    "finish": "Covalent: until the dispatch ends",
    "executor": "between the node's start and its end",
    "total": "from the dispatch to the result",
}


def workflow(executor: Any, width: int) -> Any:
    """Return a lattice of that many electrons on an executor."""

    @ct.electron(executor=executor)
    def same(n):
        return n

    @ct.lattice(executor=executor, workflow_executor="local")
    def electrons():
        for n in range(width):
            last = same(n)
        return last

    return electrons


def seconds(when: datetime) -> float:
    """Return Unix seconds of a time of Covalent's, which are UTC."""
    return when.replace(tzinfo=when.tzinfo or timezone.utc).timestamp()


def rfc3339(text: str) -> float:
    """Return Unix seconds of the runner's times, which have nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp() + float(f"0.{fraction or 0}")


class Cluster:
    """What the cluster tells of the groups of a dispatch."""

    def __init__(self) -> None:
        program = os.environ["KUBECTL"]
        self._groups = Watch(program, f"/apis/kubernetes.covalent.xyz/v1alpha1/namespaces/{NAMESPACE}/taskgroups")
        self._pods = Watch(program, f"/api/v1/namespaces/{NAMESPACE}/pods")

    def times(self, dispatch: str, group: int, read: Callable[[str], bytes]) -> list[float]:
        """Return when a group was created, its pod was, its runner began and ended, and the group was Finished."""

        def is_group(tg: Object) -> bool:
            return tg["spec"]["dispatchID"] == dispatch and tg["spec"]["taskGroupID"] == group

        def is_finished(tg: Object) -> bool:
            conditions = tg.get("status", {}).get("conditions", [])
            return is_group(tg) and any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)

        def is_pod(pod: Object) -> bool:
            return pod["metadata"]["labels"].get(LABEL) == name

        created, tg = self._groups.first(is_group)
        name = tg["metadata"]["name"]
        pod, _ = self._pods.first(is_pod)
        finished, tg = self._groups.first(is_finished)
        manifest = json.loads(read(tg["status"]["manifest"]["uri"]))
        return [created, pod, rfc3339(manifest["startTime"]), rfc3339(manifest["endTime"]), finished]

    def stop(self) -> None:
        """End the watches."""
        self._groups.stop()
        self._pods.stop()


def trial(executor: str | Store, width: int, cluster: Cluster) -> dict[str, float]:
    """Run one workflow and return its phases in seconds: of many electrons, each phase's median."""
    lattice = workflow(executor.executor if isinstance(executor, Store) else executor, width)
    begin = time.time()
    dispatch = ct.dispatch(lattice)()
    result = ct.get_result(dispatch, wait=True)
    if str(result.status) != "COMPLETED" or result.result != width - 1:
        raise SystemExit(f"the workflow did not end as it should:\n{result}")
    end = seconds(result.end_time)
    electrons = []
    for node in result.lattice.transport_graph.get_internal_graph_copy().nodes:
        one = result.get_node_result(node)
        if one["node_name"] != "same":
            continue
        start, stop = seconds(one["start_time"]), seconds(one["end_time"])
        between = cluster.times(dispatch, node, executor.read) if isinstance(executor, Store) else []
        names = list(PHASES)[:8] if between else ["prepare", "executor", "finish"]
        moments = [begin, start, *between, stop, end]
        phases = {name: after - before for name, before, after in zip(names, moments, moments[1:])}
        electrons.append({**phases, "executor": stop - start})
    if len(electrons) != width:
        raise SystemExit(f"{len(electrons)} electrons ran, not {width}")
    return {**{name: median(e[name] for e in electrons) for name in electrons[0]}, "total": end - begin}


def electron_with_arguments(executor: Any) -> tuple[Any, Any]:
    """Return a lattice whose electron gets a dictionary of lists, and its result."""

    @ct.electron(executor=executor)
    def train(config):
        return config["lr"] * sum(config["layers"])

    @ct.lattice(executor=executor, workflow_executor="local")
    def arguments():
        return train({"lr": 0.5, "layers": [64, 64]})

    return arguments, 64.0


def chain(executor: Any, mebibytes: int) -> tuple[Any, Any]:
    """Return a lattice of three electrons, of which two return that many MiB, and its result."""

    @ct.electron(executor=executor)
    def make(mebibytes):
        return bytes(mebibytes << 20)

    @ct.electron(executor=executor)
    def forward(data):
        return data

    @ct.electron(executor=executor)
    def length(data):
        return len(data)

    @ct.lattice(executor=executor, workflow_executor="local")
    def passing():
        return length(forward(make(mebibytes)))

    return passing, mebibytes << 20


def measure_workflow(scenario: tuple[Any, Any], rounds: int, folders: dict[str, Path]) -> list[dict[str, float]]:
    """Run a workflow several times; return its seconds, its TaskGroups, and the MiB by which each folder grew."""
    lattice, want = scenario
    runs = []
    for number in range(rounds + 1):
        before = {name: mebibytes_in(folder) for name, folder in folders.items()}
        begin = time.time()
        dispatch = ct.dispatch(lattice)()
        result = ct.get_result(dispatch, wait=True)
        if str(result.status) != "COMPLETED" or result.result != want:
            raise SystemExit(f"the workflow did not end as it should:\n{result}")
        figures = {"seconds": seconds(result.end_time) - begin, "TaskGroups": taskgroups_of(dispatch)}
        figures |= {f"MiB in {name}": mebibytes_in(folder) - before[name] for name, folder in folders.items()}
        print(f"round {number}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()), flush=True)
        if number:
            runs.append(figures)
    print("\nmedian: " + ", ".join(f"{name} {median(one[name] for one in runs):.2f}" for name in runs[0]))
    return runs


def mebibytes_in(folder: Path) -> float:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def taskgroups_of(dispatch: str) -> int:
    """Return the number of TaskGroups of a dispatch."""
    selector = f"kubernetes.covalent.xyz/dispatch={dispatch}"
    return len(kubectl("-n", NAMESPACE, "get", "taskgroups", "-l", selector, "-o", "name").splitlines())


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    """Print each phase's median over the rounds, and of the total its range."""
    print(f"\n{'milliseconds, median of the rounds':70}" + "".join(f"{name:>16}" for name in runs))
    for phase, meaning in PHASES.items():
        cells = []
        for rounds in runs.values():
            known = [one[phase] for one in rounds if phase in one]
            cells.append(f"{1000 * median(known):16.0f}" if known else f"{'':16}")
        print(f"{phase:10}{meaning:60}" + "".join(cells).rstrip())
    spans = (f"{1000 * min(o['total'] for o in r):.0f}-{1000 * max(o['total'] for o in r):.0f}" for r in runs.values())
    print(f"{'':10}{'the total of every round, least and most':60}" + "".join(f"{span:>16}" for span in spans))


def main() -> None:
    """Measure, print and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", required=True, help="folder that pods see under the same path")
    parser.add_argument("--buckets", default="", help="folder with the buckets of the S3 server")
    parser.add_argument("--scenario", choices=("electrons", "arguments", "chain"), default="electrons")
    parser.add_argument(
        "--executors", type=executors_of, default=EXECUTORS, help=f"some of {','.join(EXECUTORS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=50)
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the object of a chain")
    parser.add_argument("--json", help="file for every round's figures")
    options = parser.parse_args()
    if options.scenario == "electrons" and "s3" in options.executors and not options.buckets:
        parser.error("the executor s3 needs --buckets")
    if options.scenario == "electrons":
        measured: Any = measure_electrons(options)
    else:
        folders = {"the store": Path(options.assets), "the server": Path(get_config("dispatcher.results_dir"))}
        if options.scenario == "arguments":
            scenario = electron_with_arguments(on_volume(options.assets, MEMORY).executor)
        else:
            memory = f"{256 + 4 * options.mebibytes}Mi"
            scenario = chain(on_volume(options.assets, memory).executor, options.mebibytes)
        measured = measure_workflow(scenario, options.rounds, folders)
    if options.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "covalent": ct.__version__}
        Path(options.json).write_text(json.dumps({**machine, "seconds": measured}, indent=1) + "\n")


def executors_of(text: str) -> tuple[str, ...]:
    """Return the executors of a list with commas, in the order of the table.

    Raises:
        argparse.ArgumentTypeError: one of them does not exist, or there is none.
    """
    chosen = set(text.split(","))
    if unknown := chosen - set(EXECUTORS):
        raise argparse.ArgumentTypeError(f"{','.join(sorted(unknown))!r}: the executors are {','.join(EXECUTORS)}")
    return tuple(name for name in EXECUTORS if name in chosen)


def executor_named(name: str, options: argparse.Namespace) -> str | Store:
    """Return an executor of Covalent's own by its name, or a store of TaskGroups."""
    if name == "taskgroup":
        return on_volume(options.assets, MEMORY)
    if name == "gateway":
        return in_gateway(MEMORY)
    return in_bucket(options.buckets, MEMORY) if name == "s3" else name


def measure_electrons(options: argparse.Namespace) -> dict[int, dict[str, list[dict[str, float]]]]:
    """Measure one electron and many on each executor."""
    executors = {name: executor_named(name, options) for name in options.executors}
    cluster = Cluster()
    measured: dict[int, dict[str, list[dict[str, float]]]] = {
        width: {name: [] for name in executors} for width in (1, options.width)
    }
    # The first round warms up: processes start, images unpack.
    for number in range(options.rounds + 1):
        for width, runs in measured.items():
            for name, executor in executors.items():
                figures = trial(executor, width, cluster)
                print(f"round {number}: {width:3} on {name:9} {figures['total']:7.2f} s", flush=True)
                if number:
                    runs[name].append(figures)
    cluster.stop()
    for width, runs in measured.items():
        print(f"\n{width} electron{'s' if width > 1 else ''}, {options.rounds} rounds")
        report(runs)
    return measured


if __name__ == "__main__":
    main()
