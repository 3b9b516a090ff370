"""What requests and answers hold that takes more than copying: executor/bridge/shapes.go."""

from __future__ import annotations

import base64
import os
import platform
from collections.abc import Callable
from typing import Any

import covalent
from covalent._shared_files.config import get_config
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent._workflow.transportable_object import TransportableObject
from covalent.executor.schemas import ResourceMap, TaskSpec, TaskUpdate


def send_request(identity: dict[str, Any], task_specs: list[TaskSpec], resources: ResourceMap) -> dict[str, Any]:
    """Return a SendRequest; the int keys of the ResourceMap become strings, as JSON has no others.

    "resend" announces that a send whose result is unknown is repeated, and cancelled if that fails too.
    """
    return {
        **identity,
        "resend": True,
        "task_specs": [spec.model_dump() for spec in task_specs],
        "resources": resources.model_dump(mode="json"),
    }


def receive_request(options: dict[str, Any], group: dict[str, Any], data: Any) -> dict[str, Any]:
    """Return a ReceiveRequest; log files that are relative are below results_dir/dispatch_id.

    The dispatcher tells results_dir to run only (covalent/executor/base.py, write_streams_to_file); here it is that of
    covalent.conf, which the dispatcher takes itself.
    """
    folder = os.path.join(str(get_config("dispatcher.results_dir")), group["dispatch_id"])
    logs = {name: options[name] for name in ("log_stdout", "log_stderr")}
    logs = {name: os.path.join(folder, path) for name, path in logs.items() if path and not path.startswith("~")}
    return {"executor": {**options, **logs}, "task_group_metadata": group, "data": data}


def all_cancelled(group: dict[str, Any]) -> list[TaskUpdate]:
    """Return that every node of group["node_ids"] was cancelled and left nothing."""
    return [
        TaskUpdate(dispatch_id=group["dispatch_id"], node_id=node, status=RESULT_STATUS.CANCELLED, assets={})
        for node in group["node_ids"]
    ]


def task_metadata(task: dict[str, Any]) -> dict[str, Any]:
    """Return {"dispatch_id": str, "node_id": int, "results_dir": str}, the last where it is known."""
    return {name: task[name] for name in ("dispatch_id", "node_id", "results_dir") if task.get(name) is not None}


def run_group(task: dict[str, Any]) -> dict[str, Any]:
    """Return the group of a node that runs by itself, as executor/setup.go has it."""
    return {"dispatch_id": task["dispatch_id"], "node_ids": [task["node_id"]], "task_group_id": task["node_id"]}


def own_version() -> dict[str, str]:
    """Return {"python": "3.11.2", "covalent": "0.240.0"} of this process."""
    return {"python": platform.python_version(), "covalent": covalent.__version__}


def call_of(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a Call: each object pickled as a TransportableObject, its bytes in base64.

    Arguments are wrapped also where they are TransportableObjects, as those of the dispatcher's legacy path are: the
    pod unwraps once, and the function finds what it was called with.
    """
    return {
        "function": _encode(function),
        "args": [_encode(value) for value in args],
        "kwargs": {name: _encode(value) for name, value in kwargs.items()},
    }


def _encode(value: Any) -> str:
    return base64.b64encode(TransportableObject(value).serialize()).decode("ascii")


def result_of(encoded: str) -> Any:
    """Return the object of a RunResponse's result."""
    return TransportableObject.deserialize(base64.b64decode(encoded)).get_deserialized()
