"""The attributes of the executor, and executor.Options made of them (executor/options.go).

Everything is JSON and TOML and nothing is None: Covalent writes the defaults to
covalent.conf, and the attributes with every node to its database and API. They name
kubeconfigs, contexts and Secrets; no credential belongs here.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

# What is passed on under its own name where it is not its default, which stands for "not said".
_SAME_NAME = (
    "kubeconfig",
    "context",
    "namespace",
    "assets",
    "outputs",
    "local_paths",
    "presign",
    "presign_seconds",
    "presign_endpoint",
    "python_images",
    "dispatcher",
    "cancel_on_stop",
    "execution",
    "parallelism",
    "infrastructure_retries",
    "oom_memory_factor",
    "queued_seconds",
    "starting_seconds",
    "task_seconds",
    "runner",
    "queue",
    "labels",
    "annotations",
    "callback",
)

DEFAULTS: dict[str, Any] = {
    # Those of Covalent's base class, covalent/executor/base.py.
    "log_stdout": "",
    "log_stderr": "",
    "cache_dir": "",
    "time_limit": -1,
    "retries": 0,
    # The pod.
    "image": "",
    "cpu": "",
    "memory": "",
    "gpu": 0,
    "env": {},
    "pod": {},
    # The program that runs the tasks in the pod: spec.runner.
    "runner": {},
    # The cluster.
    "kubeconfig": "",
    "context": "",
    "namespace": "",
    # Where objects are.
    "assets": "",
    "outputs": "",
    "local_paths": {},
    "presign": False,
    "presign_seconds": 0,
    "presign_endpoint": "",
    "python_images": {},
    # Who sends, and what becomes of the groups when it stops.
    "dispatcher": "",
    "cancel_on_stop": False,
    # The group.
    "execution": "",
    "parallelism": 0,
    "infrastructure_retries": -1,
    "oom_memory_factor": "",
    "queued_seconds": 0,
    "starting_seconds": 0,
    "task_seconds": 0,
    "ttl_seconds_after_finished": 86400,
    "queue": "",
    "labels": {},
    "annotations": {},
    "callback": "",
}

# SIGNATURE is the constructor's, for help() and completion.
SIGNATURE = inspect.Signature(
    [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in DEFAULTS.items()]
)


def checked(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of attributes that is JSON and nothing else.

    Raises:
        TypeError: an attribute is not JSON, or not of its default's type.
        ValueError: assets or outputs is where Covalent's server cannot upload or download.
    """
    for name, value in attributes.items():
        expected = type(DEFAULTS[name])
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is int):
            raise TypeError(f"{name} is {value!r}: it must be {_KINDS[expected]}")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as err:
            raise TypeError(f"{name} must be JSON, since Covalent stores it with every task: {err}") from None
    for name in ("assets", "outputs"):
        if urlsplit(attributes[name]).scheme in _WITHOUT_CREDENTIALS:
            raise ValueError(
                f"{name} is {attributes[name]}: Covalent's server has no credentials for gs:// and blob://; "
                "use s3://, http://, https:// or file://"
            )
    return copy.deepcopy(dict(attributes))


# Covalent makes its clients for these without arguments (covalent/_file_transfer/strategies, guess_transfer_strategy).
_WITHOUT_CREDENTIALS = ("gs", "blob")
_KINDS = {str: "a string", int: "a whole number", bool: "True or False", dict: "a dictionary"}


def executor_options(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the executor.Options of attributes, as JSON for every request's "executor"."""
    options = {name: attributes[name] for name in ("log_stdout", "log_stderr", "cache_dir", "time_limit", "retries")}
    options["ttl_seconds_after_finished"] = attributes["ttl_seconds_after_finished"]
    for name in _SAME_NAME:
        if attributes[name] != DEFAULTS[name]:
            options[name] = attributes[name]
    pod = _pod(attributes)
    if pod:
        options["pod"] = pod
    return options


def here(uri: str, local_paths: Mapping[str, str]) -> str:
    """Return what pods know as uri as the dispatcher's machine does, by the longest folder of local_paths.

    The rule is executor.Options.UploadURI's; contract/testdata/local_paths.json has its cases.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return uri
    path = unquote(parts.path)
    folders = [f for f in local_paths if path == f.rstrip("/") or path.startswith(f.rstrip("/") + "/")]
    if not folders:
        return uri
    longest = max(folders, key=len)
    return "file://" + quote(local_paths[longest].rstrip("/") + path[len(longest.rstrip("/")) :])


def _pod(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return spec.pod: the short attributes laid over the attribute pod, which has the same names as spec.pod."""
    pod: dict[str, Any] = copy.deepcopy(attributes["pod"])
    if attributes["image"]:
        pod["image"] = attributes["image"]
    if attributes["env"]:
        others = [e for e in pod.get("env", []) if e.get("name") not in attributes["env"]]
        pod["env"] = others + [{"name": name, "value": str(value)} for name, value in attributes["env"].items()]
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if attributes["cpu"]:
        # A request alone: more is used where the node has it, and nothing is throttled.
        requests["cpu"] = attributes["cpu"]
    if attributes["memory"]:
        requests["memory"] = limits["memory"] = attributes["memory"]
    if attributes["gpu"]:
        limits["nvidia.com/gpu"] = str(attributes["gpu"])
    for kind, quantities in (("requests", requests), ("limits", limits)):
        if quantities:
            resources = pod.setdefault("resources", {})
            resources[kind] = {**resources.get(kind, {}), **quantities}
    return pod
