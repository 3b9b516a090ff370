"""Outputs that stay in the store: what Covalent's server has in their place, and when.

A large output that only tasks with the same storage read is not copied to the dispatcher's machine and back. The server
has a reference instead: an archive whose header names the object, and whose pickle fetches the object where it is
unpickled.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

import cloudpickle  # type: ignore[import-untyped]
from covalent._shared_files import logger
from covalent._shared_files.defaults import WAIT_EDGE_NAME

from .archives import Archive, Deferred, dump
from .options import DEFAULTS

# The key of a reference in the header of an archive.
_KEY = "taskgroup_object"
# Attributes of an executor that say nothing about where its pods read and write, and with which permissions.
_NOT_STORAGE = frozenset(
    (
        *("log_stdout", "log_stderr", "cache_dir", "download_limit", "python_images", "dispatcher", "cancel_on_stop"),
        *("image", "cpu", "memory", "gpu", "gpu_resource", "disk", "shared_memory", "workdir", "node_selector"),
        *("tolerations", "priority", "python", "runner", "execution", "parallelism", "time_limit", "retries"),
        *("infrastructure_retries", "oom_memory_factor", "queued_seconds", "starting_seconds", "task_seconds"),
        *("ttl_seconds_after_finished", "queue", "labels", "annotations", "callback"),
    )
)


@dataclass(frozen=True)
class Reference:
    """An object in a store.

    Attributes:
        uri: its URI on the dispatcher's machine.
        size: its bytes.
        sha256: its digest, in lower-case hexadecimal.
        storage: the storage of the executor that wrote it; see storage_of.
        executor: the options of the bridge that reads it, such as {"kubeconfig": str}.
    """

    uri: str
    size: int
    sha256: str
    storage: str
    executor: dict[str, Any]


def archive(reference: Reference, load: Callable[[str], Any]) -> bytes:
    """Return the archive that Covalent's server has in place of an object.

    Args:
        reference: the object.
        load: the function that the pickle calls, with the reference as JSON.
    """
    header = {
        "py_version": platform.python_version(),
        "cloudpickle_version": cloudpickle.__version__,
        "attrs": {"doc": "", "name": ""},
        _KEY: asdict(reference),
    }
    pickled = dump(Deferred(load, json.dumps(asdict(reference))))
    return Archive(header, f"<{reference.size} bytes at {reference.uri}>", pickled).encode()


def is_reference(header: Mapping[str, Any]) -> bool:
    """Return whether an archive with this header is that of a reference."""
    return _KEY in header


def of(header: Mapping[str, Any]) -> Optional[Reference]:
    """Return the reference of the archive with this header; None for the archive of an object."""
    found = header.get(_KEY)
    return Reference(**found) if isinstance(found, dict) else None


def storage_of(attributes: Mapping[str, Any]) -> str:
    """Return a name of where the pods of an executor read and write, and with which permissions.

    Executors with the same name read each other's results under the same URIs.
    """
    relevant = {name: attributes[name] for name in DEFAULTS if name not in _NOT_STORAGE}
    if isinstance(relevant["pod"], dict):
        relevant["pod"] = {name: value for name, value in relevant["pod"].items() if name not in ("resources", "image")}
    text = json.dumps(relevant, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def only_read_with(storage: str, dispatch_id: str, node_id: int, read: Any) -> bool:
    """Return whether all readers of a node's output are tasks of executors with the same storage; False if unknown.

    It asks Covalent's database, and blocks.

    Args:
        storage: that of storage_of.
        dispatch_id: the dispatch.
        node_id: the node.
        read: the function that returns the storage of a stored executor, {"attributes": {...}}.
    """
    try:
        # The dispatcher's own module: executors have no other way to ask who reads a node.
        from covalent_dispatcher._core.data_modules import graph  # type: ignore[import-untyped]

        successors = graph.get_node_successors_sync(dispatch_id, node_id, ["executor", "executor_data"])
        same = [s["executor"] == "taskgroup" and read(s["executor_data"]) == storage for s in successors]
        others = {s["node_id"] for s, is_same in zip(successors, same) if not is_same}
        return any(same) and not any(_reads(graph.get_incoming_edges_sync(dispatch_id, n), node_id) for n in others)
    except Exception as err:  # Another release of Covalent, or no dispatcher: the output is downloaded.
        logger.app_log.warning("TaskGroup executor: who reads node %s of %s: %r", node_id, dispatch_id, err)
        return False


def _reads(edges: list[dict[str, Any]], node_id: int) -> bool:
    """Return whether one of the edges into a node passes the output of another one: Covalent's own nodes only wait."""
    return any(edge["source"] == node_id and edge["attrs"]["edge_name"] != WAIT_EDGE_NAME for edge in edges)
