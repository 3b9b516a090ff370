"""Covalent's TransportableObject, read and written without Covalent.

The archive (covalent/_workflow/transportable_object.py, 0.240): 8 bytes
big-endian offset of the string, 8 bytes big-endian offset of the data, a JSON
header from byte 16, ``str(object)`` in UTF-8, the base64 of the pickle.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import platform
from typing import Any

import cloudpickle

from taskgroup_harness import unpickler

_OFFSET = 8
_HEADER_AT = 2 * _OFFSET
# Pickled bytes encoded at a time: a multiple of 3, so that the pieces join.
_PIECE = 3 << 18

PYTHON_VERSION = platform.python_version()


class NotTransportableError(ValueError):
    """The bytes are no TransportableObject."""


class VersionMismatchError(ValueError):
    """The object was pickled by another minor version of Python."""


def same_minor(version: str) -> bool:
    """Say whether a ``major.minor.micro`` is of this interpreter's minor version."""
    return version.split(".")[:2] == PYTHON_VERSION.split(".")[:2]


def load(path: str) -> Any:
    """Return the object archived in a file.

    Raises NotTransportableError for a malformed archive, OSError where the file
    cannot be read, and whatever unpickling raises.
    """
    with open(path, "rb") as archive:
        size = os.fstat(archive.fileno()).st_size
        offsets = archive.read(_HEADER_AT)
        if len(offsets) < _HEADER_AT:
            raise NotTransportableError(f"only {size} bytes")
        string_at = int.from_bytes(offsets[:_OFFSET], "big")
        data_at = int.from_bytes(offsets[_OFFSET:], "big")
        if not _HEADER_AT <= string_at <= data_at < size:
            raise NotTransportableError(f"offsets {string_at} and {data_at} in {size} bytes: truncated?")
        archive.seek(data_at)
        encoded = archive.read()
    return _unpickle(encoded)


def load_attributes(attributes: dict[str, Any]) -> Any:
    """Return the object in the JSON form that hooks use.

    ``attributes`` is ``TransportableObject.to_dict()["attributes"]``:
    ``{"_object": base64, "_object_string": str, "_header": {...}}``. Raises
    VersionMismatchError before anything is unpickled.
    """
    try:
        encoded, version = attributes["_object"].encode("ascii"), str(attributes["_header"]["py_version"])
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError) as err:
        raise NotTransportableError(f"no TransportableObject in JSON: {err!r}") from err
    if not same_minor(version):
        raise VersionMismatchError(version)
    return _unpickle(encoded)


def _unpickle(encoded: bytes) -> Any:
    try:
        pickled = base64.b64decode(encoded)
    except binascii.Error as err:
        raise NotTransportableError(f"the pickle's base64 is broken: {err}: truncated?") from err
    del encoded
    return unpickler.loads(pickled)


def dump(obj: Any, path: str) -> int:
    """Archive an object in a file, whole or not at all, and return its size in bytes.

    Raises OSError where the file cannot be written, and whatever pickling or
    ``str(obj)`` raises. Where Covalent itself would give up - a lone surrogate
    in the string, a docstring that is no JSON - the text is replaced, since it
    is for display only.
    """
    pickled = memoryview(cloudpickle.dumps(obj))
    header = json.dumps(
        {
            "py_version": PYTHON_VERSION,
            "cloudpickle_version": cloudpickle.__version__,
            "attrs": {"doc": getattr(obj, "__doc__", ""), "name": getattr(obj, "__name__", "")},
        },
        default=str,
    ).encode("utf-8")
    string = str(obj).encode("utf-8", errors="backslashreplace")
    string_at = _HEADER_AT + len(header)
    part = path + ".part"
    with open(part, "wb") as archive:
        archive.write(string_at.to_bytes(_OFFSET, "big"))
        archive.write((string_at + len(string)).to_bytes(_OFFSET, "big"))
        archive.write(header)
        archive.write(string)
        for start in range(0, len(pickled), _PIECE):
            archive.write(base64.b64encode(pickled[start : start + _PIECE]))
        size = archive.tell()
    os.replace(part, path)
    return size
