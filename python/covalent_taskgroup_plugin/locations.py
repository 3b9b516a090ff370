"""URIs and folders that Covalent's file transfers and the CRD both accept."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote, urlsplit

# Covalent makes its clients for these without arguments (covalent/_file_transfer/strategies, guess_transfer_strategy).
_WITHOUT_CREDENTIALS = ("gs", "blob", "azblob")
# Covalent's File writes every other character as an escape into the name of the file itself.
_PLAIN = re.compile(r"[A-Za-z0-9/._~+@=,:-]*")


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
        return "file://" + _plain(name, text)
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme:
        raise ValueError(f"{name} is {text}: it must be a URI such as s3://bucket/prefix, or an absolute path")
    text = f"{scheme.lower()}://{rest}"
    parts = urlsplit(text)
    _check_scheme(name, text, parts.scheme)
    if parts.scheme == "file":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError(f'{name} is {text}: the path must be absolute, did you mean "file:///{rest.lstrip("/")}"?')
        _plain(name, unquote(parts.path))
    elif not parts.netloc:
        raise ValueError(f"{name} is {text}: the host or bucket is missing")
    if parts.username is not None:
        raise ValueError(f"{name}: credentials do not belong into a URI, which Covalent stores; see docs/stores.md")
    if parts.query or parts.fragment:
        raise ValueError(
            f"{name} is {text}: names of objects are appended, so that it must not have a query or fragment"
        )
    return text


def folder(name: str, value: Any) -> str:
    """Return a folder of the dispatcher's machine.

    Raises:
        TypeError: it is neither a string nor a path.
        ValueError: it has characters that Covalent's file transfers change.
    """
    return _plain(name, _text(name, value))


def folders(name: str, value: Any) -> dict[str, str]:
    """Return a dictionary of absolute folders.

    Raises:
        TypeError: it is no dictionary of paths.
        ValueError: a path is relative, or has characters that Covalent's file transfers change.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {value!r}: it must be a dictionary")
    paths = {folder(name, pods): folder(name, local) for pods, local in value.items()}
    for path in (*paths, *paths.values()):
        if not os.path.isabs(path):
            raise ValueError(f"{name} has {path!r}: it must be an absolute path")
    return paths


def _text(name: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r}: it must be a string")
    return text


def _plain(name: str, path: str) -> str:
    if not _PLAIN.fullmatch(path):
        wrong = sorted(set(_PLAIN.sub("", path)))
        raise ValueError(
            f"{name} has {' '.join(map(repr, wrong))} in {path!r}: Covalent's file transfers write such characters to "
            "another folder; use letters without accents, digits and . _ ~ + @ = , : -"
        )
    return path


def _check_scheme(name: str, text: str, scheme: str) -> None:
    if scheme in _WITHOUT_CREDENTIALS:
        raise ValueError(
            f"{name} is {text}: Covalent's server has no credentials for gs://, blob:// and azblob://; "
            "use s3://, http://, https:// or file://"
        )
