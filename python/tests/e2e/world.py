"""What run.sh has brought up, and executors that use it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
HOME = Path(os.environ["TASKGROUP_E2E_HOME"])
# A folder that pods see under the same path.
ASSETS = Path(os.environ["TASKGROUP_E2E_ASSETS"])
NAMESPACE = "plugin"
OTHER_NAMESPACE = "plugin-b"
CLAIM = "taskgroup-assets"
DISPATCH_LABEL = "kubernetes.covalent.xyz/dispatch"

POD = {
    "volumes": [{"name": "assets", "persistentVolumeClaim": {"claimName": CLAIM}}],
    "volumeMounts": [{"name": "assets", "mountPath": str(ASSETS)}],
}


# A pod that has Covalent besides, below SITE.
SITE = "/opt/covalent"
POD_WITH_COVALENT = {
    "volumes": [
        *POD["volumes"],
        {"name": "covalent", "persistentVolumeClaim": {"claimName": "covalent", "readOnly": True}},
    ],
    "volumeMounts": [*POD["volumeMounts"], {"name": "covalent", "mountPath": SITE, "readOnly": True}],
}


def arguments(**changes: Any) -> dict[str, Any]:
    """Return the arguments of an executor on the cluster; changes are laid over them, env over env."""
    defaults: dict[str, Any] = {
        "kubeconfig": os.environ["KUBECONFIG"],
        "namespace": NAMESPACE,
        "assets": f"file://{ASSETS}",
        "cpu": "20m",
        "memory": "128Mi",
        "time_limit": 120,
        "queued_seconds": 240,
        "starting_seconds": 120,
        "pod": POD,
    }
    return {**defaults, **changes}


def on_cluster(**changes: Any) -> TaskGroupExecutor:
    """Make an executor on the cluster; see arguments."""
    return TaskGroupExecutor(**arguments(**changes))


def workflow(lattice: Any, *args: Any, **kwargs: Any) -> pytest.MarkDecorator:
    """Mark a test: its fixture result is what became of lattice(*args, **kwargs)."""
    return pytest.mark.workflow.with_args(lattice, *args, **kwargs)


def with_covalent(**changes: Any) -> TaskGroupExecutor:
    """Make an executor whose pods have Covalent, though their image does not."""
    return on_cluster(
        pod=POD_WITH_COVALENT, memory="512Mi", env={"PYTHONPATH": f"{SITE}:{ASSETS}/site", "HOME": "/tmp"}, **changes
    )


def until(what: str, condition: Callable[[], T], seconds: float = 120) -> T:
    """Return what condition returns as soon as that is true.

    Raises:
        AssertionError: it never was, in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
    return value


def kubectl(*command: str, stdin: str | None = None) -> str:
    """Run kubectl on the cluster and return what it printed."""
    done = subprocess.run(
        [os.environ["TASKGROUP_E2E_KUBECTL"], *command], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(command)}: {done.stderr}"
    return done.stdout


class APIServer:
    """The process of the cluster's API server, which a test kills and starts again."""

    def __init__(self) -> None:
        command = [
            str(ROOT / "bin/cluster"),
            "status",
            "--name",
            os.environ["TASKGROUP_E2E_CLUSTER"],
            "--output",
            "json",
        ]
        (found,) = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        pids = {component["name"]: component["pid"] for component in found["components"]}
        self._process = psutil.Process(pids["kube-apiserver"])
        self._folder = found["dir"]

    def restart(self) -> None:
        """Kill the process, start it again as it was started, and wait until it is ready."""
        # The environment marks the process as one of the cluster, which ends it with the others.
        command, environment = self._process.cmdline(), self._process.environ()
        self._process.kill()
        until("the API server to be gone", lambda: not self._is_ready())
        with open(f"{self._folder}/logs/kube-apiserver.log", "ab") as log:
            self._process = psutil.Popen(
                command, env=environment, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        until("the API server", self._is_ready)

    def _is_ready(self) -> bool:
        command = [os.environ["TASKGROUP_E2E_KUBECTL"], "get", "--raw", "/readyz"]
        return subprocess.run(command, capture_output=True, check=False).stdout == b"ok"


def groups_of(dispatch: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Return the TaskGroups of a dispatch, by their first node."""
    listed = kubectl("-n", namespace, "get", "taskgroups", "-l", f"{DISPATCH_LABEL}={dispatch}", "-o", "json")
    return sorted(json.loads(listed)["items"], key=lambda group: group["spec"]["tasks"][0]["nodeID"])


def reason_of(group: dict[str, Any]) -> str:
    """Return the word that `kubectl get tg` shows."""
    conditions = group.get("status", {}).get("conditions", [])
    return next((c["reason"] for c in conditions if c["type"] == "Succeeded"), "")
