"""Unpickles functions, with the file names that cloudpickle left out.

From release 3.1.3 on, cloudpickle pickles every code object with the file name
``<dynamic-code>``, so that equal functions have equal pickles. The pickle still has
``__file__`` of the function's module, where the module has one: a script does, a
notebook's cell does not. With that name, tracebacks, warnings, log records and
``inspect`` are as with older releases.
"""

from __future__ import annotations

import functools
import pickle
from types import CodeType
from typing import Any, BinaryIO, Callable

# co_filename in cloudpickle.cloudpickle._code_reduce (3.1.3).
DYNAMIC_CODE = "<dynamic-code>"

_CLOUDPICKLE = "cloudpickle.cloudpickle"
_MAKE_FUNCTION = "_make_function"
_MAKE_CLASS = ("_make_skeleton_class", "_make_skeleton_enum")
# What dataclasses generates is in the module's namespace, but not in its file.
_GENERATED = "__create_fn__.<locals>."


def load(pickled: BinaryIO) -> tuple[Any, list[Any]]:
    """Return the object of a pickle that cloudpickle wrote, and its functions and classes that are by value.

    Raises the errors of unpickling.
    """
    unpickler = _Unpickler(pickled)
    obj = unpickler.load()
    return obj, unpickler.made


class _Unpickler(pickle.Unpickler):
    """Calls _make_function for functions that are pickled by value, and records what was made."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.made: list[Any] = []

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what the pickle names, as pickle.Unpickler does, with a wrapper around cloudpickle's constructors."""
        found = super().find_class(module, name)
        if module == _CLOUDPICKLE and name == _MAKE_FUNCTION:
            return functools.partial(_record, self.made, functools.partial(_make_function, found))
        if module == _CLOUDPICKLE and name in _MAKE_CLASS:
            return functools.partial(_record, self.made, found)
        return found


def _record(made: list[Any], make: Callable[..., Any], *args: Any) -> Any:
    """Make something and record it; without the unpickler, whose memo would keep all objects alive."""
    obj = make(*args)
    made.append(obj)
    return obj


def _make_function(make: Callable[..., Any], code: CodeType, namespace: dict[str, Any], *rest: Any) -> Any:
    """Make a function with cloudpickle's own constructor."""
    file = namespace.get("__file__")
    return make(_named(code, file) if isinstance(file, str) else code, namespace, *rest)


def _named(code: CodeType, file: str) -> CodeType:
    """Return code with the name of its file, and so all code that it contains."""
    # Python 3.9 and 3.10 have no co_qualname.
    if code.co_filename != DYNAMIC_CODE or getattr(code, "co_qualname", "").startswith(_GENERATED):
        return code
    consts = tuple(_named(value, file) if isinstance(value, CodeType) else value for value in code.co_consts)
    return code.replace(co_filename=file, co_consts=consts)
