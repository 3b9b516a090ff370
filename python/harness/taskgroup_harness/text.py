"""The text of an object in its archive: what Covalent shows of a result.

Covalent writes ``str(object)``. A sublattice's string is its archive and is written completely;
of everything else the text is for display only. It is bounded here, and it never fails, since
a result that can be pickled must not be lost because of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

# Characters of a text that is not the object itself.
LIMIT = 64 << 10
# Elements of a container whose own repr is called. Classes that derive from a container show all of it.
_FEW = 1000
_CUT = "..."

_CONTAINERS = (list, tuple, dict, set, frozenset)


def of(obj: Any) -> str:
    """Return str(obj), shortened for all types but str; never raises."""
    try:
        if isinstance(obj, str):
            return str(obj)
        kind = type(obj)
        if kind.__str__ is not object.__str__ and not _is_container(obj):
            return _cut(str(obj))
        return _cut("".join(_bounded(_pieces(obj, ()))))
    except BaseException as err:
        return f"<{_name(type(obj))}: no text: {_name(type(err))}>"


def attribute(obj: Any, name: str) -> Any:
    """Return an attribute of the object for the header, as JSON that is bounded; never raises."""
    try:
        value = getattr(obj, name, "")
    except BaseException as err:
        return f"<no {name}: {_name(type(err))}>"
    if value is None:
        return None
    return _cut(of(value))


def type_name(obj: Any) -> str:
    """Return the module and name of the object's type; never raises."""
    return _name(type(obj))


def _name(kind: type) -> str:
    # A metaclass may define these two as anything.
    module, name = type.__getattribute__(kind, "__module__"), type.__getattribute__(kind, "__qualname__")
    return f"{module}.{name}"


def _cut(text: str) -> str:
    if len(text) <= LIMIT:
        return text
    return f"{text[: LIMIT - 3]}{_CUT}"


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if size > LIMIT:
            return


def _is_container(obj: Any) -> bool:
    return isinstance(obj, (*_CONTAINERS, bytes, bytearray, memoryview))


def _pieces(obj: Any, above: tuple[int, ...]) -> Iterator[str]:
    """Yield repr(obj) in pieces, so that a reader may stop at any of them."""
    kind = type(obj)
    own = kind.__repr__
    if isinstance(obj, (str, bytes, bytearray)) and len(obj) > LIMIT:
        yield repr(obj[:LIMIT])
    elif own is list.__repr__:
        yield from _enclosed(obj, above, "[", _items(obj, above), "]")
    elif own is tuple.__repr__:
        yield from _enclosed(obj, above, "(", _items(obj, above), ",)" if len(obj) == 1 else ")")
    elif own is dict.__repr__:
        yield from _enclosed(obj, above, "{", _entries(obj, above), "}")
    elif own is set.__repr__ or own is frozenset.__repr__:
        plain = kind is set
        if not obj:
            yield f"{kind.__name__}()"
        else:
            start, end = ("{", "}") if plain else (f"{kind.__name__}({{", "})")
            yield from _enclosed(obj, above, start, _items(obj, above), end)
    elif _has_fields(obj):
        yield from _enclosed(obj, above, f"{kind.__qualname__}(", _fields(obj, above), ")")
    elif _size(obj) > _FEW:
        yield f"<{_name(kind)} of {len(obj)} items>"
    else:
        yield repr(obj)


def _enclosed(obj: Any, above: tuple[int, ...], start: str, pieces: Iterator[str], end: str) -> Iterator[str]:
    if id(obj) in above:
        yield f"{start}{_CUT}{end}"
        return
    yield start
    yield from pieces
    yield end


def _items(obj: Any, above: tuple[int, ...]) -> Iterator[str]:
    inside = (*above, id(obj))
    for i, item in enumerate(obj):
        if i:
            yield ", "
        yield from _pieces(item, inside)


def _entries(obj: dict[Any, Any], above: tuple[int, ...]) -> Iterator[str]:
    inside = (*above, id(obj))
    for i, (key, value) in enumerate(obj.items()):
        if i:
            yield ", "
        yield from _pieces(key, inside)
        yield ": "
        yield from _pieces(value, inside)


def _has_fields(obj: Any) -> bool:
    """Return whether a class has the repr that dataclasses or namedtuple generated."""
    kind = type(obj)
    own: Callable[..., str] = kind.__repr__
    if isinstance(obj, tuple):
        return hasattr(kind, "_fields") and getattr(own, "__module__", "") == "collections"
    generated = getattr(own, "__wrapped__", None)
    return hasattr(kind, "__dataclass_fields__") and getattr(generated, "__name__", "") == "__repr__"


def _fields(obj: Any, above: tuple[int, ...]) -> Iterator[str]:
    inside = (*above, id(obj))
    names = getattr(obj, "_fields", None)
    if names is None:
        names = [
            name
            for name, field in type(obj).__dataclass_fields__.items()
            if field.repr and field._field_type.name == "_FIELD"
        ]
    for i, name in enumerate(names):
        if i:
            yield ", "
        yield f"{name}="
        yield from _pieces(getattr(obj, name), inside)


def _size(obj: Any) -> int:
    """Return the length of an object whose repr shows all of its elements, or 0."""
    if isinstance(obj, _CONTAINERS) or type(obj).__module__ in ("collections", "array"):
        return len(obj)
    return 0
