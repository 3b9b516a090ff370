"""Uploads of the dispatcher's files and downloads of results: the URI scheme taskgroup of Covalent's transfers.

Covalent's server asks an executor for the URI of each object, copies the object there, one after another and for each
group, and then calls send (covalent_dispatcher/_core/runner_ng.py, release 0.240). With a scheme of the plugin's own,
register_uploader and register_downloader (covalent/_file_transfer/file_transfer.py), it copies nothing by itself:

- An upload records the file. send, which knows what it needs, uploads each content once, several at a time.
- A download names the object with its size and digest, and is retried.

Files are copied here. Other stores are the bridge's: it has their clients and finds their credentials.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import contextlib
import errno
import functools
import hashlib
import json
import re
import shutil
import tempfile
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from covalent._file_transfer import File
from covalent._file_transfer.file_transfer import register_downloader, register_uploader
from covalent._file_transfer.strategies.transfer_strategy_base import FileTransferStrategy
from covalent._workflow.transportable_object import TransportableObject

from . import archives, bridge, references
from .errors import BridgeError
from .references import Reference

SCHEME = "taskgroup"
# The host of URIs: Covalent's File writes a URI without one with a single slash.
_UPLOAD, _DOWNLOAD = f"{SCHEME}://upload/", f"{SCHEME}://download/"
# For how many seconds a transfer is retried. A failed download loses a result that exists.
UPLOAD_SECONDS = 120.0
DOWNLOAD_SECONDS = 600.0
# How many files are remembered: those that were recorded and never sent, and those that were downloaded.
_REMEMBERED = 200_000
# For how many seconds an object is taken to be stored: the gateway keeps for a day what no TaskGroup names.
_STORED_SECONDS = 3600.0
_PIECE = 1 << 20
_SHA256_OF_NOTHING = hashlib.sha256().hexdigest()


class _Remembered:
    """What is known of files, the oldest of which are forgotten. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Any] = OrderedDict()

    def put(self, key: str, value: Any) -> None:
        with self._lock:
            self._known[key] = value
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def get(self, key: str) -> Any:
        with self._lock:
            return self._known.get(key)

    def pop(self, key: str) -> Any:
        with self._lock:
            return self._known.pop(key, None)


# The file of each upload that was recorded.
_recorded = _Remembered()
# The Reference of each file that was downloaded, and the file's identity then.
_origins = _Remembered()
# When this process uploaded each URI, which has the digest of its content in its name.
_uploaded = _Remembered()
# Errors of a file system that do not pass by themselves.
_LASTING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)


def upload_uri(group: str, key: str) -> str:
    """Return the URI under which an upload is recorded, of a group ("<dispatch>/<group>") and a key ("node_3")."""
    return f"{_UPLOAD}{group}/{key}"


def is_upload(uri: str) -> bool:
    """Return whether a URI is one of upload_uri."""
    return uri.startswith(_UPLOAD)


def recorded(uri: str) -> Path:
    """Return the file that was to be uploaded to an upload_uri, and forget it.

    Raises:
        BridgeError: there was none.
    """
    path = _recorded.pop(uri)
    if path is None:
        raise BridgeError(f"nothing was uploaded to {uri}: another process than the one that sends may have been asked")
    return Path(path)


def download_uri(reference: Reference, keep: bool) -> str:
    """Return the URI from which the server copies an object, or, with keep, a reference to it."""
    return _DOWNLOAD + _encoded({"object": asdict(reference), "keep": keep})


def keep(archive: bytes) -> dict[str, Any]:
    """Keep an archive on this machine until it is downloaded; return {"output": name, "size": int, "sha256": str}."""
    name = uuid.uuid4().hex
    (_folder() / name).write_bytes(archive)
    return {"output": name, "size": len(archive), "sha256": hashlib.sha256(archive).hexdigest()}


def kept_uri(name: str) -> str:
    """Return the URI from which the server takes what keep has kept under a name."""
    return _DOWNLOAD + _encoded({"kept": name})


def _encoded(wanted: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(wanted).encode()).decode("ascii")


@functools.lru_cache(maxsize=1)
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="taskgroup-outputs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


async def upload(path: Path, folder: str, storage: str, executor: dict[str, Any]) -> str:
    """Return the URI of an object with the content of a file; upload it unless there is one.

    Args:
        path: the file. If it was downloaded from this storage, or is a reference to an object there, nothing is copied.
        folder: the URI below which objects are put, on the dispatcher's machine.
        storage: see references.storage_of.
        executor: the options for the bridge.

    Raises:
        BridgeError: it cannot be uploaded.
    """
    origin = await asyncio.to_thread(_origin, path)
    if origin is not None and origin.storage == storage:
        return origin.uri
    reference = await asyncio.to_thread(_reference, path)
    if reference is None:
        return await _put(path, folder, executor)
    # The pods cannot read the object in the storage of another executor.
    with temporary() as copy:
        await fetch(reference, copy)
        return await _put(copy, folder, executor)


async def _put(path: Path, folder: str, executor: dict[str, Any]) -> str:
    begun = time.monotonic()
    size, digest = await asyncio.to_thread(_digest, path)
    uri = f"{folder.rstrip('/')}/{digest}"
    since = _uploaded.get(uri)
    if since is not None and time.monotonic() - since < _STORED_SECONDS:
        return uri
    if _is_file(uri):
        await _retried(f"copying to {uri}", UPLOAD_SECONDS, _copy, path, _local(uri), size, digest)
    else:
        request = {"executor": executor, "path": str(path.absolute()), "uri": uri}
        await bridge.persist("/v1/upload", request, UPLOAD_SECONDS, seconds=None)
    _uploaded.put(uri, begun)
    return uri


async def fetch(reference: Reference, path: Path) -> None:
    """Copy an object to a file, as a whole or not at all.

    Raises:
        BridgeError: it cannot be read, or is not what the reference says.
    """
    if reference.size == 0 and reference.sha256 == _SHA256_OF_NOTHING:
        # Most electrons print nothing: without this, two of their three downloads would return no bytes.
        await asyncio.to_thread(_write, path, b"")
    elif _is_file(reference.uri):
        source = _local(reference.uri)
        await _retried(
            f"copying {reference.uri}", DOWNLOAD_SECONDS, _copy, source, path, reference.size, reference.sha256
        )
    else:
        request = {
            "executor": reference.executor,
            "uri": reference.uri,
            "size": reference.size,
            "sha256": reference.sha256,
            "path": str(path.absolute()),
        }
        await bridge.persist("/v1/download", request, DOWNLOAD_SECONDS, seconds=None)


def archive_of(reference: Reference) -> bytes:
    """Return the archive that Covalent's server has in place of an object, which is fetched when it is unpickled."""
    return references.archive(reference, load)


def load(reference: str) -> Any:
    """Fetch and unpickle the object of a reference, which is JSON; pickles of references call this.

    Raises:
        BridgeError: the object cannot be fetched on this machine.
    """
    with temporary() as path:
        fetch_now(Reference(**json.loads(reference)), path)
        return TransportableObject.deserialize(path.read_bytes()).get_deserialized()


def fetch_now(reference: Reference, path: Path) -> None:
    """Do fetch, and block until it is done; a thread with a running event loop may call it too."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, fetch(reference, path)).result()


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """Provide the path of a file that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="taskgroup-") as folder:
        yield Path(folder) / "object"


class Strategy(FileTransferStrategy):
    """Covalent's transfers from and to URIs of the scheme taskgroup."""

    def cp(self, from_file: File, to_file: File) -> None:
        """Refuse to copy from one store to another.

        Raises:
            NotImplementedError: always; Covalent has no such copies.
        """
        raise NotImplementedError

    def upload(self, from_file: File, to_file: File) -> Callable[[], None]:  # type: ignore[override]
        """Return a function that records which file is to be uploaded."""
        return lambda: _recorded.put(to_file.uri, str(_path(from_file)))

    def download(self, from_file: File, to_file: File) -> Callable[[], None]:
        """Return a function that copies an object, or a reference to it, to a file."""
        return lambda: _download(from_file.uri, _path(to_file))


def _download(uri: str, path: Path) -> None:
    """Do a download; a thread of the server calls it."""
    wanted = json.loads(base64.urlsafe_b64decode(unquote(uri[len(_DOWNLOAD) :])))
    if "kept" in wanted:
        # In push mode, every client that reaches the dispatcher can make up a name.
        if not re.fullmatch(r"[0-9a-f]{32}", wanted["kept"]):
            raise BridgeError(f"{wanted['kept']!r} is not the name of an output")
        shutil.move(_folder() / wanted["kept"], path)
        return
    reference = Reference(**wanted["object"])
    path.parent.mkdir(parents=True, exist_ok=True)
    if wanted["keep"]:
        _write(path, archive_of(reference))
    else:
        fetch_now(reference, path)
        _origins.put(str(path), (reference, _identity(path)))


def _path(file: File) -> Path:
    """Return the path of one of Covalent's files.

    File escapes characters of it as in a URI, and Covalent's own store does not (covalent_dispatcher/_dal/asset.py).
    What looks like an escape may be part of the name: the path is the one more of whose folders exist.
    """
    return max((Path(unquote(file.filepath)), Path(file.filepath)), key=_existing)


def _existing(path: Path) -> int:
    """Return how many of the folders above a file, and the file itself, exist."""
    return sum(part.exists() for part in (path, *path.parents))


def _origin(path: Path) -> Optional[Reference]:
    """Return the object in a store that a file is a copy of, or a reference to; None if it is neither."""
    origin: Optional[tuple[Reference, tuple[int, int, int]]] = _origins.get(str(path))
    if origin is not None and origin[1] == _identity(path):
        return origin[0]
    return _reference(path)


def _reference(path: Path) -> Optional[Reference]:
    try:
        return references.of(archives.read_header(path))
    except archives.NotAnArchiveError:
        return None


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _is_file(uri: str) -> bool:
    return uri.startswith("file:")


def _local(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _digest(path: Path) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            digest.update(piece)
    return size, digest.hexdigest()


def _copy(source: Path, target: Path, size: int, sha256: str) -> None:
    """Copy a file, as a whole or not at all, unless the target has its name from its content and exists.

    Raises:
        OSError: it cannot be copied, or it is not what was recorded: a network file system may have an old version.
    """
    if target.name == sha256 and target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".new-{uuid.uuid4().hex}")
    try:
        copied, digest = 0, hashlib.sha256()
        with source.open("rb") as reading, part.open("xb") as writing:
            while piece := reading.read(_PIECE):
                writing.write(piece)
                copied += len(piece)
                digest.update(piece)
        if sha256 and (copied, digest.hexdigest()) != (size, sha256):
            raise OSError(f"{source} has {copied} bytes with SHA-256 {digest.hexdigest()}, not {size} with {sha256}")
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".new-{uuid.uuid4().hex}")
    part.write_bytes(content)
    part.replace(path)


async def _retried(what: str, within: float, copy: Callable[..., None], *arguments: Any) -> None:
    """Copy a file of this machine in a thread, and retry it: the file system may be full or away for a while."""

    async def once() -> None:
        try:
            await asyncio.to_thread(copy, *arguments)
        except OSError as err:
            raise BridgeError(f"{what}: {err}", "Unavailable", retry=err.errno not in _LASTING) from err

    await bridge.retry(what, once, within)


# Classes, whatever their annotations say.
register_uploader(SCHEME, Strategy)  # type: ignore[arg-type]
register_downloader(SCHEME, Strategy)  # type: ignore[arg-type]
