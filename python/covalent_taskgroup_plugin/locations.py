"""URIs and folders as the bridge and the CRD read them."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, unquote, urlsplit

# The schemes of the stores that the bridge and the runner have clients for (store/backends).
_SCHEMES = ("file", "s3", "gs", "azblob", "blob", "http", "https")
# The characters of a path that a URI may have as they are, as Go's net/url writes them.
_SAFE = "/~+@=,:$&-._"


def uri(name: str, value: Any) -> str:
    """Return the URI of a folder of objects: the value, or file:// with an absolute path.

    Raises:
        TypeError: it is neither a string nor a path.
        ValueError: pods or Covalent's server cannot read or write there.
    """
    text = _text(name, value)
    if not text:
        return ""
    if text.startswith("/"):
        return _file(text)
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme:
        raise ValueError(f"{name} is {text}: it must be a URI such as s3://bucket/prefix, or an absolute path")
    text = f"{scheme.lower()}://{rest}"
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{name} is {text}: it must begin with one of {', '.join(f'{s}://' for s in _SCHEMES)}")
    if parts.scheme == "file":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError(f'{name} is {text}: the path must be absolute, did you mean "file:///{rest.lstrip("/")}"?')
    elif not parts.netloc:
        raise ValueError(f"{name} is {text}: the host or bucket is missing")
    if parts.username is not None:
        raise ValueError(f"{name}: credentials do not belong into a URI, which Covalent stores; see docs/stores.md")
    if parts.query or parts.fragment:
        raise ValueError(
            f"{name} is {text}: names of objects are appended, so that it must not have a query or fragment"
        )
    return _file(unquote(parts.path)) if parts.scheme == "file" else text


def folder(name: str, value: Any) -> str:
    """Return a folder of the dispatcher's machine.

    Raises:
        TypeError: it is neither a string nor a path.
    """
    return _text(name, value)


def folders(name: str, value: Any) -> dict[str, str]:
    """Return a dictionary of absolute folders.

    Raises:
        TypeError: it is no dictionary of paths.
        ValueError: a path is relative.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {value!r}: it must be a dictionary")
    paths = {folder(name, pods): folder(name, local) for pods, local in value.items()}
    for path in (*paths, *paths.values()):
        if not os.path.isabs(path):
            raise ValueError(f"{name} has {path!r}: it must be an absolute path")
    return paths


def _file(path: str) -> str:
    return "file://" + quote(path, safe=_SAFE)


def _text(name: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r}: it must be a string")
    return text
