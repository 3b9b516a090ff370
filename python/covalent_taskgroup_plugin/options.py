"""The attributes of the executor, and executor.Options made of them (executor/options.go).

Everything is JSON and TOML and nothing is None: Covalent writes the defaults to
covalent.conf, and the attributes with every node to its database and API. They name
kubeconfigs, contexts and Secrets; no credential belongs here.
"""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from . import amounts, locations, podspec, schema

# The bridge gets these under the same name if they differ from their default, which stands for "unset".
_SAME_NAME = (
    "context",
    "namespace",
    "assets",
    "outputs",
    "gateway",
    "gateway_account",
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
    # The pod: short forms of fields of spec.pod, and spec.pod itself.
    "image": "",
    "cpu": "",
    "memory": "",
    "gpu": 0,
    "gpu_resource": "nvidia.com/gpu",
    "disk": "",
    "shared_memory": "",
    "env": {},
    "secrets": [],
    "secret_env": {},
    "volumes": {},
    "workdir": "",
    "node_selector": {},
    "tolerations": [],
    "priority": "",
    "service_account": "",
    "image_pull_secrets": [],
    "pod": {},
    # The program that runs the tasks in the pod: spec.runner.
    "python": "",
    "runner": {},
    # The cluster.
    "kubeconfig": "",
    "context": "",
    "namespace": "",
    # Where objects are.
    "assets": "",
    "outputs": "",
    "gateway": "",
    "gateway_account": "",
    "local_paths": {},
    "presign": False,
    "presign_seconds": 0,
    "presign_endpoint": "",
    "python_images": {},
    "download_limit": "16Mi",
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

# ALIASES are the names of the same options in covalent-kubernetes-plugin.
ALIASES = {"vcpu": "cpu", "k8s_context": "context", "k8s_config_file": "kubeconfig", "data_store": "assets"}


def _texts(name: str, value: Any) -> dict[str, str]:
    """Return a dictionary of strings, as labels are, of one whose values may be numbers or True and False."""
    return {
        str(key): str(text).lower() if isinstance(text, bool) else str(text)
        for key, text in _of_type(dict, name, value).items()
    }


_KINDS = {str: "a string", int: "a whole number", bool: "True or False", dict: "a dictionary", list: "a list"}


def _of_type(expected: type, name: str, value: Any) -> Any:
    if expected is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if expected is list and isinstance(value, (tuple, set, frozenset)):
        value = list(value)
    if expected is dict and isinstance(value, Mapping):
        value = dict(value)
    if expected is int:
        return amounts.count(name, value)
    if not isinstance(value, expected):
        raise TypeError(f"{name} is {value!r}: it must be {_KINDS[expected]}")
    return value


# How an attribute is read whose form is more than its default's type.
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "cpu": amounts.cpus,
    "oom_memory_factor": amounts.factor,
    **dict.fromkeys(("memory", "disk", "shared_memory", "download_limit"), amounts.size),
    **dict.fromkeys(
        ("time_limit", "queued_seconds", "starting_seconds", "task_seconds", "presign_seconds"), amounts.seconds
    ),
    "ttl_seconds_after_finished": amounts.seconds,
    **dict.fromkeys(("labels", "annotations", "node_selector"), _texts),
    **dict.fromkeys(("assets", "outputs"), locations.uri),
    "local_paths": locations.folders,
    "cache_dir": locations.folder,
}


# The smallest whole numbers that are not 0.
_LEAST = {"infrastructure_retries": -1, "time_limit": -1}


def without_aliases(arguments: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return other arguments under the names of the attributes, and warn of ALIASES.

    Raises:
        TypeError: an argument is given under both names.
    """
    for name in sorted(other.keys() & ALIASES.keys()):
        attribute = ALIASES[name]
        if attribute in other or arguments.get(attribute, DEFAULTS[attribute]) != DEFAULTS[attribute]:
            raise TypeError(f"TaskGroupExecutor has both {name} and {attribute}, which are the same: use {attribute}")
        warnings.warn(f"{name} is deprecated: use {attribute}", DeprecationWarning, stacklevel=3)
    return {ALIASES.get(name, name): value for name, value in other.items()}


def unknown_argument(name: str) -> str:
    """Return why an argument is refused, and what to write instead."""
    refused = f'TaskGroupExecutor has no argument "{name}"'
    meant = schema.did_you_mean(name, DEFAULTS)
    short = {schema.folded(known) for known in DEFAULTS}
    for option in ("pod", "runner"):
        if name in schema.fields(option) and schema.folded(name) not in short:
            meant = f': use {option}={{"{name}": ...}}'
    return refused + (meant or f"; the arguments are {', '.join(DEFAULTS)}")


def checked(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of attributes that is JSON, with the values in the forms that are stored.

    None stands for the default.

    Raises:
        TypeError: an attribute is unknown, not JSON, or of another type than its default.
        ValueError: an attribute has a value that no cluster or Covalent's server accepts. The text names it.
    """
    for name in attributes:
        if name not in DEFAULTS:
            raise TypeError(unknown_argument(name))
    read = {name: _read(name, value) for name, value in attributes.items()}
    _group_options({**DEFAULTS, **read})
    return copy.deepcopy(read)


def _group_options(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that only the creation of a group needs."""
    made = {}
    for option, make in (("pod", podspec.pod_of), ("runner", podspec.runner_of)):
        # The attribute first: the short forms are laid over lists and dictionaries of the right types.
        schema.check(option, attributes[option])
        made[option] = make(attributes)
        schema.check(option, made[option])
    return {option: value for option, value in made.items() if value}


def tolerated(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Do checked, and leave out what is unknown; a value that is refused stays as it is, for the bridge to refuse."""
    read: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in DEFAULTS:
            try:
                read[name] = _read(name, value)
            except (TypeError, ValueError):
                read[name] = value
    return copy.deepcopy(read)


def _read(name: str, value: Any) -> Any:
    default = DEFAULTS[name]
    if value is None:
        return default
    reader = _READERS.get(name)
    read = reader(name, value) if reader is not None else _of_type(type(default), name, value)
    if isinstance(default, int) and read < _LEAST.get(name, 0):
        raise ValueError(f"{name} is {read}: it must be at least {_LEAST.get(name, 0)}")
    if name == "execution" and read:
        schema.check(name, read)
    try:
        json.dumps(read, allow_nan=False)
    except (TypeError, ValueError) as err:
        raise TypeError(f"{name} must be JSON, since Covalent stores it with every task: {err}") from None
    return read


def changed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that differ from their defaults."""
    return {name: attributes[name] for name, default in DEFAULTS.items() if attributes[name] != default}


def executor_options(attributes: Mapping[str, Any], with_pod: bool = True) -> dict[str, Any]:
    """Return the executor.Options of attributes, as JSON for every request's "executor".

    Args:
        attributes: a value for each of DEFAULTS; others are ignored.
        with_pod: whether the request creates a group. Other requests omit pod and runner, so that a group that was
            sent by another release is received and cancelled whatever its pod has.

    Raises:
        TypeError, ValueError: an attribute that was set after construction, or by another release, is refused.
    """
    if with_pod:
        attributes = checked({name: attributes[name] for name in DEFAULTS})
    options = {name: attributes[name] for name in ("log_stdout", "log_stderr", "cache_dir", "time_limit", "retries")}
    options["ttl_seconds_after_finished"] = attributes["ttl_seconds_after_finished"]
    if attributes["kubeconfig"]:
        # Here, on the dispatcher's machine, and not where the workflow is written.
        options["kubeconfig"] = os.path.expanduser(attributes["kubeconfig"])
    for name in _SAME_NAME:
        if attributes[name] != DEFAULTS[name]:
            options[name] = attributes[name]
    if with_pod:
        options.update(_group_options(attributes))
    return options


def results_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of executor_options that say where the results of a Sequential group are; {} if nothing does.

    With them, the bridge finds the results of a group whose TaskGroup was deleted by its TTL during an outage, and
    fetches small results from the gateway ahead.
    """
    where = ("assets", "outputs", "gateway", "gateway_account")
    if options.get("execution") == "Parallel" or not any(options.get(name) for name in where):
        return {}
    names = (*where, "local_paths", "retries", "infrastructure_retries")
    return {name: options[name] for name in names if name in options}


def here(uri: str, local_paths: Mapping[str, str]) -> str:
    """Return a URI, as pods see it, as the dispatcher's machine sees it: by the longest folder of local_paths.

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
