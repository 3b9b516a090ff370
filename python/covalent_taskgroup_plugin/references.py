"""Outputs that stay in the store: what Covalent's server has in their place, and when.

A large output that only tasks with the same storage read is not copied to the dispatcher's machine and back. The server
has a reference instead: an archive whose header names the object, and whose pickle fetches the object where it is
unpickled.

The server reads the object of a reference with its own permissions, to copy it to another store. Archives come from
pods and clients too, which could name files of the server. A reference therefore has a MAC with a key of the server.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import platform
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

import cloudpickle  # type: ignore[import-untyped]
from covalent._shared_files import logger
from covalent._shared_files.config import get_config
from covalent._shared_files.defaults import WAIT_EDGE_NAME

from .archives import Archive, Deferred, dump
from .options import DEFAULTS

# The key of a reference in the header of an archive.
_KEY = "taskgroup_object"
# The file below the folder of the server's data that has the key of the MACs.
_KEY_FILE = ".taskgroup-references.key"
_KEY_BYTES = 32
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
        _KEY: {**asdict(reference), "mac": _mac(reference)},
    }
    pickled = dump(Deferred(load, json.dumps(asdict(reference))))
    return Archive(header, f"<{reference.size} bytes at {reference.uri}>", pickled).encode()


def is_reference(header: Mapping[str, Any]) -> bool:
    """Return whether an archive with this header is that of a reference."""
    return _KEY in header


def of(header: Mapping[str, Any]) -> Optional[Reference]:
    """Return the reference of the archive with this header; None for an object, and for a MAC that is not valid."""
    found = header.get(_KEY)
    if not isinstance(found, dict):
        return None
    try:
        fields = dict(found)
        mac = fields.pop("mac")
        reference = Reference(**fields)
        return reference if hmac.compare_digest(_mac(reference), mac) else None
    except (KeyError, TypeError, OSError):
        return None


def _mac(reference: Reference) -> str:
    """Return the MAC of a reference.

    Raises:
        OSError: the key can be neither read nor created.
    """
    return hmac.new(_key(), json.dumps(asdict(reference), sort_keys=True).encode(), hashlib.sha256).hexdigest()


@functools.lru_cache(maxsize=1)
def _key() -> bytes:
    """Return the key of this server, which is created when it is first needed and outlives restarts."""
    path = Path(str(get_config("dispatcher.results_dir"))) / _KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
    if not path.exists():
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
            # Another process may create it at the same time: the first one wins, and the file is always whole.
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            os.close(descriptor)
            new.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{path} has {len(key)} bytes, not {_KEY_BYTES}: delete it")
    return key


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

        _key()  # Without it, nothing could be copied from the reference.
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
