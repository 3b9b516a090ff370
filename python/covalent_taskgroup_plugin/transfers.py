"""The transfers of send and receive: the inputs of a group, and the URIs from which its results are downloaded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar

from covalent._shared_files.schemas.asset import AssetUpdate
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent.executor.schemas import ResourceMap, TaskSpec, TaskUpdate

from . import amounts, bridge, helpers, objects, references
from .errors import BridgeError
from .options import DEFAULTS, executor_options, here
from .references import Reference

# How many files of a group are uploaded at a time.
CONCURRENT = 16
JSON = dict[str, Any]
A = TypeVar("A")
B = TypeVar("B")
# The key by which a handle of send is recognised that is the output of a helper node.
_OUTPUT = "output"
# The executor's options that the bridge needs for a transfer: which cluster and with whose credentials.
_FOR_TRANSFERS = ("kubeconfig", "context", "namespace", "gateway", "gateway_account", "local_paths")
# For how many seconds it is known where the objects of executors without assets are.
STORAGE_SECONDS = 60.0


def recorded(resources: ResourceMap) -> dict[str, Path]:
    """Return the file of each URI that is one of objects.upload_uri.

    Raises:
        BridgeError: nothing was uploaded there.
    """
    uris = {uri for map_ in _maps(resources) for uri in map_.values() if objects.is_upload(uri)}
    return {uri: objects.recorded(uri) for uri in uris}


def _maps(resources: ResourceMap) -> tuple[dict[int, str], ...]:
    return resources.functions, resources.inputs, resources.hooks


async def helper_output(specs: Sequence[TaskSpec], resources: ResourceMap, files: Mapping[str, Path]) -> Optional[JSON]:
    """Return where the output of a group is that is one of Covalent's helper nodes; None for other groups.

    It is {"output": name, "size": int, "sha256": str}, for helper_update.
    """
    node = _helper(specs, resources, files)
    archive = None if node is None else await asyncio.to_thread(helpers.evaluate, node)
    if archive is None:
        return None
    return await asyncio.to_thread(objects.keep, archive)


def _helper(specs: Sequence[TaskSpec], resources: ResourceMap, files: Mapping[str, Path]) -> Optional[helpers.Node]:
    if len(specs) != 1:
        return None
    (spec,) = specs
    node = spec.electron_id
    read = [resources.functions.get(node), *(resources.inputs.get(n) for n in (*spec.args, *spec.kwargs.values()))]
    if any(uri not in files for uri in read):
        return None
    hooks = files.get(resources.hooks.get(node, ""))
    kwargs = {name: files[resources.inputs[n]] for name, n in spec.kwargs.items()}
    return helpers.Node(
        files[resources.functions[node]], hooks, [files[resources.inputs[n]] for n in spec.args], kwargs
    )


def is_output(handle: Any) -> bool:
    """Return whether a handle is the output of a helper node."""
    return isinstance(handle, dict) and _OUTPUT in handle


def helper_update(group: JSON, handle: JSON) -> TaskUpdate:
    """Return the update of a helper node."""
    output = AssetUpdate(
        remote_uri=objects.kept_uri(handle[_OUTPUT]),
        size=handle["size"],
        digest_alg="sha256",
        digest=handle["sha256"],
    )
    (node,) = group["node_ids"]
    return TaskUpdate(
        dispatch_id=group["dispatch_id"], node_id=node, status=RESULT_STATUS.COMPLETED, assets={"output": output}
    )


async def default_storage(options: JSON, within: float, may_pass: Callable[[BridgeError], bool]) -> JSON:
    """Return {"assets": uri, "outputs": uri} of the cluster's gateway; the answer is kept for a minute.

    Raises:
        BridgeError: the cluster has no gateway, or does not permit its use.
    """
    executor = {name: options[name] for name in _FOR_TRANSFERS if name in options}
    key = json.dumps(executor, sort_keys=True)
    since, known = _storages.get(key, (0.0, {}))
    if not known or time.monotonic() - since > STORAGE_SECONDS:
        since, known = time.monotonic(), await bridge.persist("/v1/storage", {"executor": executor}, within, may_pass)
        _storages[key] = since, known
    return dict(known)


# The answers for default_storage, and when they were requested.
_storages: dict[str, tuple[float, JSON]] = {}


def _folder_of(attributes: JSON, assets: str, dispatch: str) -> str:
    """Return the URI below which objects are put that are named by their content, on the dispatcher's machine.

    A dispatch has one folder, to be removed as a whole; the gateway removes what no TaskGroup names.

    Raises:
        BridgeError: the executor has outputs and no assets.
    """
    if not assets:
        raise BridgeError("the executor has outputs and no assets: set assets too, or neither for the asset gateway")
    root = here(assets, attributes["local_paths"]).rstrip("/")
    return f"{root}/content" if root.startswith("gateway:") else f"{root}/{dispatch}"


async def upload(
    attributes: JSON, assets: str, dispatch: str, resources: ResourceMap, files: Mapping[str, Path]
) -> ResourceMap:
    """Upload files below assets, each content once, and return the resources with the URIs of the objects.

    Raises:
        BridgeError: a file cannot be uploaded.
    """
    if not files:
        return resources
    folder = _folder_of(attributes, assets, dispatch)
    storage, executor = references.storage_of(attributes), _transfer_options(attributes)
    # Covalent stores hooks for each node; most have none, and the pod need not ask.
    none = {uri for uri in resources.hooks.values() if uri in files and await asyncio.to_thread(_is_empty, files[uri])}
    # Several nodes may have one file, and several files one content.
    paths = sorted({path for uri, path in files.items() if uri not in none})
    uris = dict(zip(paths, await _gather([objects.upload(path, folder, storage, executor) for path in paths])))
    return ResourceMap(
        **{
            name: {
                node: uris[files[uri]] if uri in files else uri
                for node, uri in getattr(resources, name).items()
                if uri not in none
            }
            for name in ("functions", "inputs", "hooks")
        }
    )


def _is_empty(hooks: Path) -> bool:
    """Return whether a file of hooks has none: it is empty, or "{}"."""
    return hooks.stat().st_size < 16 and hooks.read_bytes().strip() in (b"", b"{}")


async def downloads(attributes: JSON, updates: list[JSON]) -> list[JSON]:
    """Return the updates of a receive with the URIs from which Covalent's server copies the objects.

    Large outputs that only tasks with the same storage read stay where they are; see references.
    """
    storage, executor = references.storage_of(attributes), _transfer_options(attributes)
    limit = attributes["download_limit"]
    limit = amounts.bytes_of(limit) if limit else None
    for update in updates:
        for key, asset in update["assets"].items():
            if not asset.get("remote_uri"):
                continue
            size, digest = asset["size"], asset.get("digest") or ""
            reference = Reference(asset["remote_uri"], size, digest, storage, executor)
            keep = key == "output" and digest != "" and limit is not None and size > limit
            if keep:
                keep = await asyncio.to_thread(
                    references.only_read_with, storage, update["dispatch_id"], update["node_id"], _storage_of_stored
                )
            if keep:
                archive = objects.archive_of(reference)
                asset.update(size=len(archive), digest_alg="sha256", digest=hashlib.sha256(archive).hexdigest())
            asset["remote_uri"] = objects.download_uri(reference, keep)
    return updates


def _storage_of_stored(record: Mapping[str, Any]) -> str:
    """Return the storage of an executor as Covalent stores it, {"attributes": {...}}."""
    return references.storage_of({**DEFAULTS, **record["attributes"]})


def _transfer_options(attributes: JSON) -> JSON:
    options = executor_options(attributes, with_pod=False)
    return {name: options[name] for name in _FOR_TRANSFERS if name in options}


async def both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Await two coroutines at the same time. The error of one cancels the other, which has ended when it is raised."""
    one, other = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        await asyncio.gather(one, other)
        return one.result(), other.result()
    except BaseException:
        one.cancel()
        other.cancel()
        await asyncio.gather(one, other, return_exceptions=True)
        raise


async def _gather(uploads: Sequence[Coroutine[Any, Any, str]]) -> list[str]:
    """Await all, a few at a time. The first error is raised after all have ended."""
    turns = asyncio.Semaphore(CONCURRENT)

    async def one(upload: Coroutine[Any, Any, str]) -> str:
        async with turns:
            return await upload

    results = await asyncio.gather(*(one(upload) for upload in uploads), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [str(result) for result in results]
