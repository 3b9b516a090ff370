"""spec.pod and spec.runner, made of the short attributes, which are laid over the attributes pod and runner."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from . import amounts

JSON = dict[str, Any]

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SHM = "shared-memory"
_LONGEST_NAME = 63
# The keys of the lists of spec.pod that are maps.
_KEYS = {"volumes": "name", "volumeMounts": "mountPath", "env": "name", "imagePullSecrets": "name"}


def pod_of(attributes: Mapping[str, Any]) -> JSON:
    """Return spec.pod.

    Raises:
        ValueError: a short attribute has a form that is unknown; the text names it.
    """
    pod: JSON = copy.deepcopy(attributes["pod"])
    for name, field in _FIELDS.items():
        if attributes[name]:
            pod[field] = attributes[name]
    if attributes["node_selector"]:
        pod["nodeSelector"] = {**pod.get("nodeSelector", {}), **attributes["node_selector"]}
    _add(pod, "env", _env(attributes))
    _add(pod, "imagePullSecrets", [{"name": name} for name in attributes["image_pull_secrets"]])
    _append(pod, "envFrom", [{"secretRef": {"name": name}} for name in attributes["secrets"]])
    _append(pod, "tolerations", [_toleration(text) for text in attributes["tolerations"]])
    _add_volumes(pod, attributes)
    _add_resources(pod, attributes)
    return pod


def runner_of(attributes: Mapping[str, Any]) -> JSON:
    """Return spec.runner."""
    runner: JSON = copy.deepcopy(attributes["runner"])
    if attributes["python"]:
        runner["python"] = attributes["python"]
    return runner


# The short attributes that are a field of spec.pod under another name.
_FIELDS = {
    "image": "image",
    "workdir": "workingDir",
    "service_account": "serviceAccountName",
    "priority": "priorityClassName",
}


def _add(pod: JSON, field: str, entries: list[JSON]) -> None:
    """Add entries to a list, in place of those with the same key.

    New entries precede the others: $(NAME) in a variable refers to variables before it.
    """
    if entries:
        key = _KEYS[field]
        added = {entry[key]: entry for entry in entries}
        merged = [added.pop(entry.get(key), entry) for entry in _list(pod, field)]
        pod[field] = [*added.values(), *merged]


def _append(pod: JSON, field: str, entries: list[JSON]) -> None:
    if entries:
        pod[field] = _list(pod, field) + [entry for entry in entries if entry not in _list(pod, field)]


def _list(pod: JSON, field: str) -> list[JSON]:
    entries: list[JSON] = pod.get(field, [])
    return entries


def _env(attributes: Mapping[str, Any]) -> list[JSON]:
    entries: list[JSON] = [{"name": name, "value": _literal(value)} for name, value in attributes["env"].items()]
    for name, reference in attributes["secret_env"].items():
        secret, separator, key = str(reference).partition("/")
        if not (secret and separator and key):
            raise ValueError(f'secret_env[{name!r}] is {reference!r}: it must be "<name of the Secret>/<key>"')
        entries.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    return entries


def _literal(value: Any) -> str:
    """Return a value that Kubernetes passes on unchanged: it replaces $(NAME), and $$ by $."""
    return str(value).replace("$", "$$")


def _toleration(text: str | JSON) -> JSON:
    """Return the toleration of "key=value:effect", of which value and effect are optional."""
    if not isinstance(text, str):
        return text
    taint, _, effect = text.partition(":")
    key, separator, value = taint.partition("=")
    if not key or (effect and effect not in _EFFECTS):
        raise ValueError(
            f'tolerations has {text!r}: it must be "<key>=<value>:<effect>", "<key>:<effect>" or "<key>", '
            f"with one of the effects {', '.join(_EFFECTS)}"
        )
    toleration: JSON = {"key": key, "operator": "Equal" if separator else "Exists"}
    if separator:
        toleration["value"] = value
    if effect:
        toleration["effect"] = effect
    return toleration


def _claim(name: str) -> JSON:
    return {"persistentVolumeClaim": {"claimName": name}}


def _temporary(size: str) -> JSON:
    return {"emptyDir": {"sizeLimit": amounts.size("the size of a tmp volume", size)} if size else {}}


# The kinds of volumes that have a short form, "<kind>:<name>".
_SOURCES: dict[str, Callable[[str], JSON]] = {
    "claim": _claim,
    "secret": lambda name: {"secret": {"secretName": name}},
    "configmap": lambda name: {"configMap": {"name": name}},
    "tmp": _temporary,
}


def _add_volumes(pod: JSON, attributes: Mapping[str, Any]) -> None:
    volumes: dict[str, JSON] = {}
    mounts: list[JSON] = []
    for path, text in attributes["volumes"].items():
        name, source, read_only = _volume(path, text)
        volumes[name] = {"name": name, **source}
        mounts.append({"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})})
    if attributes["shared_memory"]:
        source = {"medium": "Memory", "sizeLimit": attributes["shared_memory"]}
        volumes[_SHM] = {"name": _SHM, "emptyDir": source}
        mounts.append({"name": _SHM, "mountPath": "/dev/shm"})
    _add(pod, "volumes", list(volumes.values()))
    _add(pod, "volumeMounts", mounts)


def _volume(path: str, text: str | JSON) -> tuple[str, JSON, bool]:
    """Return the name and the source of a volume, and whether it is mounted for reading only."""
    if not isinstance(text, str):
        return _name("volume", path), text, False
    parts = text.split(":")
    read_only = len(parts) > 1 and parts[-1] == "ro"
    if read_only:
        parts.pop()
    if len(parts) == 1 and parts[0] != "tmp":
        parts.insert(0, "claim")
    kind, name = parts[0], ":".join(parts[1:])
    if kind not in _SOURCES or (not name and kind != "tmp"):
        raise ValueError(
            f'volumes[{path!r}] is {text!r}: it must be "<claim>", "<claim>:ro", "secret:<name>", "configmap:<name>", '
            '"tmp" or "tmp:<size>"'
        )
    # An emptyDir belongs to its path; what has a name may be mounted at several.
    return _name(kind, path if kind == "tmp" else name), _SOURCES[kind](name), read_only


def _name(kind: str, name: str) -> str:
    """Return the name of a volume: kind and name, with a digest where a label cannot hold the name."""
    plain = f"{kind}-{name}"
    if re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", plain) and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _add_resources(pod: JSON, attributes: Mapping[str, Any]) -> None:
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if attributes["cpu"]:
        # Without a limit, the tasks may use idle CPUs of the node, and are not throttled.
        requests["cpu"] = attributes["cpu"]
    for name, resource in (("memory", "memory"), ("disk", "ephemeral-storage")):
        if attributes[name]:
            requests[resource] = limits[resource] = attributes[name]
    if attributes["gpu"]:
        limits[attributes["gpu_resource"]] = str(attributes["gpu"])
    for kind, quantities in (("requests", requests), ("limits", limits)):
        if quantities:
            resources = pod.setdefault("resources", {})
            resources[kind] = {**resources.get(kind, {}), **quantities}
