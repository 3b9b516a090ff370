"""Covalent's TransportableObject archives, read and made without unpickling what is in them.

The format is that of covalent/_workflow/transportable_object.py, release 0.240: 8 bytes with the offset of the string,
8 bytes with the offset of the data, both big-endian, then the header in JSON, str(object) in UTF-8, and the base64 of
the pickle.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

_OFFSET = 8
_HEADER_AT = 2 * _OFFSET
# The header has the docstring of a function, which is of any length; this bounds what is read of a broken file.
_MAX_HEADER = 16 << 20
# The oldest protocol with 8-byte sizes; every supported Python reads it.
_PROTOCOL = 4


class NotAnArchiveError(ValueError):
    """The file is no TransportableObject archive."""


@dataclass(frozen=True)
class Archive:
    """An archive in memory."""

    header: dict[str, Any]
    string: str
    # What pickle.loads takes.
    pickled: bytes

    def encode(self) -> bytes:
        """Return the bytes of the archive."""
        header = json.dumps(self.header).encode()
        string = self.string.encode("utf-8", errors="backslashreplace")
        string_at = _HEADER_AT + len(header)
        offsets = string_at.to_bytes(_OFFSET, "big") + (string_at + len(string)).to_bytes(_OFFSET, "big")
        return offsets + header + string + base64.b64encode(self.pickled)


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of an archive, {"py_version": str, "cloudpickle_version": str, "attrs": {...}}.

    Raises:
        NotAnArchiveError: the file is none.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return _header(file.read(_HEADER_AT), file.read)


def read(path: Path) -> Archive:
    """Return an archive. Nothing in it is unpickled.

    Raises:
        NotAnArchiveError: the file is none.
        OSError: the file cannot be read.
    """
    raw = path.read_bytes()
    header = _header(raw[:_HEADER_AT], io.BytesIO(raw[_HEADER_AT:]).read)
    string_at, data_at = _offsets(raw[:_HEADER_AT])
    if data_at > len(raw):
        raise NotAnArchiveError(f"the data is at {data_at} of {len(raw)} bytes")
    try:
        pickled = base64.b64decode(raw[data_at:])
    except binascii.Error as err:
        raise NotAnArchiveError(f"the base64 is broken: {err}") from err
    return Archive(header, raw[string_at:data_at].decode("utf-8", errors="replace"), pickled)


def _offsets(raw: bytes) -> tuple[int, int]:
    string_at, data_at = int.from_bytes(raw[:_OFFSET], "big"), int.from_bytes(raw[_OFFSET:], "big")
    if len(raw) < _HEADER_AT or not _HEADER_AT <= string_at <= data_at:
        raise NotAnArchiveError(f"the offsets are {string_at} and {data_at}")
    return string_at, data_at


def _header(offsets: bytes, rest: Callable[[int], bytes]) -> dict[str, Any]:
    string_at, _ = _offsets(offsets)
    if string_at > _MAX_HEADER:
        raise NotAnArchiveError(f"a header of {string_at} bytes")
    try:
        header = json.loads(rest(string_at - _HEADER_AT))
    except ValueError as err:
        raise NotAnArchiveError(f"the header is not JSON: {err}") from err
    if not isinstance(header, dict):
        raise NotAnArchiveError("the header is not a JSON object")
    return header


class Deferred:
    """A call that is made when the object is unpickled, in place of the object."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what pickle writes in place of this object."""
        return self._call


def unpickled(pickled: bytes) -> Deferred:
    """Return an object that is pickled as what another pickle holds, without reading that."""
    return Deferred(pickle.loads, pickled)


def dump(value: Any) -> bytes:
    """Pickle a value of builtin types and Deferred objects."""
    return pickle.dumps(value, protocol=_PROTOCOL)


class Opaque:
    """What inert returns in place of every object that is not of a builtin type."""

    def __new__(cls, *_: Any, **__: Any) -> Opaque:
        """Accept any arguments."""
        return super().__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> Opaque:
        """Return another one, as calls of functions and classes do."""
        return Opaque()

    def __setstate__(self, _: Any) -> None:
        """Accept any state."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Accept any item."""

    def append(self, _: Any) -> None:
        """Accept any element."""

    add = extend = update = append


class _Inert(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return Opaque

    def persistent_load(self, pid: Any) -> Any:
        return Opaque()


# How many elements of containers is_plain visits: containers may hold each other many times.
_MAX_VISITED = 100_000


def inert(pickled: bytes) -> Any:
    """Return what a pickle holds, with Opaque in place of what is not of a builtin type.

    Nothing is imported or called that the pickle names.

    Raises:
        ValueError: the pickle cannot be read this way.
    """
    try:
        return _Inert(io.BytesIO(pickled)).load()
    except Exception as err:  # A malformed pickle raises whatever it leads to.
        raise ValueError(f"the pickle cannot be read: {err!r}") from err


def is_plain(value: Any) -> bool:
    """Return whether a value consists of builtin constants and containers only, and of not too many of them."""
    left, visited = [value], 0
    while left:
        one = left.pop()
        visited += 1
        if visited > _MAX_VISITED:
            return False
        if type(one) in (list, tuple, set, frozenset):
            left.extend(one)
        elif type(one) is dict:
            left.extend(one.keys())
            left.extend(one.values())
        elif one is not None and type(one) not in (bool, int, float, complex, str, bytes):
            return False
    return True


def common_header(headers: list[dict[str, Any]]) -> Optional[dict[str, Any]]:
    """Return the header of an object that is made of others; None if different minor releases of Python pickled them.

    Pods refuse objects of another minor release, and the message names the object.
    """
    versions = sorted({(str(h.get("py_version")), str(h.get("cloudpickle_version"))) for h in headers})
    if len({tuple(version.split(".")[:2]) for version, _ in versions}) != 1:
        return None
    py_version, cloudpickle_version = versions[0]
    return {"py_version": py_version, "cloudpickle_version": cloudpickle_version, "attrs": {"doc": "", "name": ""}}
