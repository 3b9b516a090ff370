"""The nodes that Covalent adds to a workflow for lists, dictionaries and unpacking, computed without a pod.

covalent/_workflow/electron.py, release 0.240, makes an electron of each list, tuple, set and dictionary that an
electron is called with, and of each element that is taken of a result, all with the executor of the user's electron. A
pod for each would take longer than most functions. Their results are computed here from the pickles of their inputs. No
user data is unpickled: the result is a pickle that has the pickles of its parts.
"""

from __future__ import annotations

import operator
import pickletools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .archives import (
    Archive,
    Deferred,
    NotAnArchiveError,
    common_header,
    dump,
    inert,
    is_plain,
    read,
    read_header,
    unpickled,
)
from .references import is_reference

# Functions of Covalent's own are small; a user's function need not be read to the end.
_MAX_FUNCTION = 64 << 10
_MODULE = "covalent._workflow.electron"
# Inputs of more bytes than this are put together in a pod: the result is as large as all of them.
_MAX_INPUTS = 64 << 20
# Values of more bytes than this are not read; see archives.inert.
_MAX_READ = 1 << 20
# str(list) of a long list is only for display.
_MAX_STRING = 4096


@dataclass(frozen=True)
class Node:
    """A task and the files of the dispatcher's machine that it reads."""

    function: Path
    hooks: Optional[Path]
    args: Sequence[Path]
    kwargs: Mapping[str, Path]


def evaluate(node: Node) -> Optional[bytes]:
    """Return the archive of a node's output; None if the node has to run in a pod.

    That is the case for the functions of users, for calls that would fail, for objects of several releases of Python,
    and for large ones.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        compute = _function_of(node.function)
        if compute is None or node.kwargs or _has_calls(node.hooks):
            return None
        if sum(path.stat().st_size for path in node.args) > _MAX_INPUTS:
            return None
        function = read_header(node.function)
        parts = [read(path) for path in node.args]
    except NotAnArchiveError:
        # The pod reports what is wrong with it.
        return None
    header = common_header([function, *(part.header for part in parts)])
    if header is None or any(is_reference(part.header) for part in parts):
        return None
    made = compute(parts)
    return None if made is None else Archive(header, made[0][:_MAX_STRING], made[1]).encode()


def _function_of(path: Path) -> Optional[Callable[[Sequence[Archive]], Optional[tuple[str, bytes]]]]:
    """Return what computes the string and the pickle of a node's output; None for the function of a user."""
    if path.stat().st_size > _MAX_FUNCTION:
        return None
    names = set()
    try:
        for opcode, argument, _ in pickletools.genops(read(path).pickled):
            if "UNICODE" in opcode.name:
                names.add(argument)
    except ValueError as err:
        raise NotAnArchiveError(f"the pickle cannot be read: {err}") from err
    if _MODULE not in names:
        return None
    return next((compute for name, compute in _FUNCTIONS.items() if name in names), None)


def _has_calls(hooks: Optional[Path]) -> bool:
    """Return whether user code runs around the function. Packages that a pip hook installs are not needed here."""
    if hooks is None:
        return False
    text = hooks.read_text().strip()
    return text not in ("", "{}") and ("call_before" in text or "call_after" in text or '"bash"' in text)


def _plain(part: Archive) -> tuple[bool, Any]:
    """Return whether an archive holds builtin constants and containers only, and what it holds if it does."""
    try:
        if len(part.pickled) <= _MAX_READ:
            value = inert(part.pickled)
            return is_plain(value), value
    except ValueError:
        pass
    return False, None


def _list(parts: Sequence[Archive]) -> tuple[str, bytes]:
    """covalent's _auto_list_node: list(args)."""
    values = _all_plain(parts)
    if values is not None:
        return str(values), dump(values)
    return str([_Text(part.string) for part in parts]), dump([unpickled(part.pickled) for part in parts])


def _dict(parts: Sequence[Archive]) -> Optional[tuple[str, bytes]]:
    """covalent's _auto_dict_node: {keys[i]: values[i] for i in range(len(keys))}."""
    if len(parts) != 2:
        return None
    values = _all_plain(parts)
    if values is None:
        keys, elements = parts
        string = f"{{{keys.string}: {elements.string}}}"
        return string, dump(Deferred(dict, Deferred(zip, unpickled(keys.pickled), unpickled(elements.pickled))))
    try:
        made = dict(zip(*values))
    except TypeError:
        return None
    return str(made), dump(made)


def _item(parts: Sequence[Archive]) -> Optional[tuple[str, bytes]]:
    """covalent's get_item: e[key]. The element is known to exist, so that a missing one fails this node."""
    if len(parts) != 2 or any(len(part.pickled) > _MAX_READ for part in parts):
        return None
    try:
        container = inert(parts[0].pickled)
    except ValueError:
        return None
    is_key, key = _plain(parts[1])
    if not is_key or type(container) not in (list, tuple, dict, str):
        return None
    try:
        element = container[key]
    except (LookupError, TypeError):
        return None
    if is_plain(element):
        return str(element), dump(element)
    string = f"{parts[0].string}[{key!r}]"
    return string, dump(Deferred(operator.getitem, unpickled(parts[0].pickled), key))


class _Text:
    """An object with a known representation."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _all_plain(parts: Sequence[Archive]) -> Optional[list[Any]]:
    if sum(len(part.pickled) for part in parts) > _MAX_READ:
        return None
    values = []
    for part in parts:
        plain, value = _plain(part)
        if not plain:
            return None
        values.append(value)
    return values if is_plain(values) else None


# The qualified names in electron.py: a function of a user has another module or another name.
_FUNCTIONS: dict[str, Callable[[Sequence[Archive]], Optional[tuple[str, bytes]]]] = {
    "Electron.connect_node_with_others.<locals>._auto_list_node": _list,
    "Electron.connect_node_with_others.<locals>._auto_dict_node": _dict,
    "Electron.__iter__.<locals>.get_item": _item,
    "Electron.__getitem__.<locals>.get_item": _item,
}
