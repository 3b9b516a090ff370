"""Covalent's TransportableObject, read and written without Covalent.

The archive (covalent/_workflow/transportable_object.py, 0.240): 8 bytes
big-endian offset of the string, 8 bytes big-endian offset of the data, a JSON
header from byte 16, ``str(object)`` in UTF-8, the base64 of the pickle.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import json
import os
import platform
from typing import Any, BinaryIO

from taskgroup_harness import script, text, unpickler

_OFFSET = 8
_HEADER_AT = 2 * _OFFSET
# Bytes that are encoded at a time, a multiple of 3, and decoded at a time, a multiple of 4.
_ENCODED_AT_ONCE = 3 << 18
_DECODED_AT_ONCE = 4 << 18

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

    Raises NotTransportableError for a malformed archive, OSError if the file
    cannot be read, and the errors of unpickling.
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
        return _unpickle(archive, size - data_at)


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
    return _unpickle(io.BytesIO(encoded), len(encoded))


def _unpickle(encoded: BinaryIO, size: int) -> Any:
    """Unpickle from base64, in pieces: neither of the two is in memory as a whole."""
    piece = min(_DECODED_AT_ONCE, size + 4)
    obj, made = unpickler.load(io.BufferedReader(_Decoder(encoded, piece), piece))
    # Releases of cloudpickle before 2.1 make functions without a constructor of their own.
    script.define([obj, *made])
    return obj


class _Decoder(io.RawIOBase):
    """Reads the bytes of base64; raises NotTransportableError if it is malformed."""

    def __init__(self, encoded: BinaryIO, piece: int) -> None:
        self._encoded = encoded
        self._piece = piece
        self._rest = b""
        self._decoded = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._decoded:
            self._decoded = memoryview(self._decode())
        size = min(len(buffer), len(self._decoded))
        buffer[:size] = self._decoded[:size]
        self._decoded = self._decoded[size:]
        return size

    def _decode(self) -> bytes:
        """Return the next decoded bytes; none at the end."""
        while True:
            read = self._encoded.read(self._piece)
            encoded = self._rest + read.translate(None, b" \t\r\n")
            whole = len(encoded) - len(encoded) % 4 if read else len(encoded)
            self._rest = encoded[whole:]
            if whole or not read:
                break
        try:
            return binascii.a2b_base64(encoded[:whole])
        except binascii.Error as err:
            raise NotTransportableError(f"the pickle's base64 is broken: {err}: truncated?") from err


class StorageError(OSError):
    """The archive could not be written; other errors of dump are those of pickling."""


def dump(obj: Any, path: str) -> int:
    """Archive an object in a file, whole or not at all, and return its size in bytes.

    Raises StorageError if the file cannot be written, and the errors of pickling.
    Covalent fails for some texts, such as a lone surrogate in the string or a
    docstring that is not JSON. They are replaced, since they are for display only.
    """
    # A pip hook may have replaced the module since this one was imported.
    import cloudpickle

    header = json.dumps(
        {
            "py_version": PYTHON_VERSION,
            "cloudpickle_version": cloudpickle.__version__,
            "attrs": {"doc": text.attribute(obj, "__doc__"), "name": text.attribute(obj, "__name__")},
        }
    ).encode("utf-8")
    string = text.of(obj).encode("utf-8", errors="backslashreplace")
    string_at = _HEADER_AT + len(header)
    part = path + ".part"
    archive = _Encoder(part)
    try:
        archive.write_plain(string_at.to_bytes(_OFFSET, "big"))
        archive.write_plain((string_at + len(string)).to_bytes(_OFFSET, "big"))
        archive.write_plain(header)
        archive.write_plain(string)
        del header, string
        cloudpickle.dump(obj, archive)
        size = archive.close()
        archive.replace(path)
    except BaseException:
        archive.discard()
        raise
    return size


class _Encoder:
    """Writes a file, in part as base64; raises StorageError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rest = bytearray()
        with _storage_errors():
            self._file = open(path, "wb", buffering=1 << 16)  # noqa: SIM115 - close and discard end it

    def write_plain(self, data: bytes) -> None:
        with _storage_errors():
            self._file.write(data)

    def write(self, data: Any) -> int:
        """Encode bytes; cloudpickle calls it with pieces of any size."""
        view = memoryview(data).cast("B")
        size, start = len(view), 0
        if self._rest or size < _ENCODED_AT_ONCE:
            # Complete the groups of 3 of earlier pieces first.
            start = min(size, _ENCODED_AT_ONCE - len(self._rest))
            self._rest += view[:start]
            if len(self._rest) < _ENCODED_AT_ONCE:
                return size
            self._encode(self._rest)
            self._rest.clear()
        while size - start >= _ENCODED_AT_ONCE:
            self._encode(view[start : start + _ENCODED_AT_ONCE])
            start += _ENCODED_AT_ONCE
        self._rest += view[start:]
        return size

    def _encode(self, data: Any) -> None:
        self.write_plain(binascii.b2a_base64(data, newline=False))

    def close(self) -> int:
        """Write the rest and return the size of the file."""
        self._encode(self._rest)
        with _storage_errors():
            size = self._file.tell()
            self._file.close()
        return size

    def replace(self, path: str) -> None:
        """Give the file its name."""
        with _storage_errors():
            os.replace(self._path, path)

    def discard(self) -> None:
        """Remove the file: on a full disk, its space is needed for other files."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)


@contextlib.contextmanager
def _storage_errors() -> Any:
    try:
        yield
    except OSError as err:
        raise StorageError(err.errno, err.strerror) from err
