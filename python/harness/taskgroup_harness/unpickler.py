"""Unpickles functions, with the file names that cloudpickle left out.

From release 3.1.3 on, cloudpickle pickles every code object with the file name
``<dynamic-code>``, so that equal functions have equal pickles. The pickle still has
``__file__`` of the function's module, where the module has one: a script does, a
notebook's cell does not. With that name, tracebacks, warnings, log records and
``inspect`` are as with older releases.
"""

from __future__ import annotations

import functools
import io
import pickle
from types import CodeType
from typing import Any, Callable

# co_filename in cloudpickle.cloudpickle._code_reduce (3.1.3).
DYNAMIC_CODE = "<dynamic-code>"

_MAKE_FUNCTION = ("cloudpickle.cloudpickle", "_make_function")
# What dataclasses generates is in the module's namespace, but not in its file.
_GENERATED = "__create_fn__.<locals>."


def loads(pickled: bytes) -> Any:
    """Return the object of a pickle that cloudpickle wrote; raise what unpickling raises."""
    return _Unpickler(io.BytesIO(pickled)).load()


class _Unpickler(pickle.Unpickler):
    """Calls _make_function for functions that are pickled by value."""

    def find_class(self, module: str, name: str, /) -> Any:
        found = super().find_class(module, name)
        return functools.partial(_make_function, found) if (module, name) == _MAKE_FUNCTION else found


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
