"""The module __main__ of a task: that of the user's script, as far as the pickles bring it.

cloudpickle pickles the functions and classes of a script by value. Python itself pickles them as
``__main__.name``: multiprocessing does so for the functions of a pool, and so do torch.save and
joblib.dump. Therefore the new __main__ has the names that the functions use.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterable
from typing import Any

from taskgroup_harness import imports

_MAIN = "__main__"
_BY_NAME = (types.FunctionType, type)


def replace_main() -> None:
    """Make an empty __main__, in place of the harness's: a process that a library spawns must not run that."""
    sys.modules[_MAIN] = types.ModuleType(_MAIN)
    imports.after_import("multiprocessing.reduction", _pickle_for_new_interpreters)


def define(made: Iterable[object]) -> None:
    """Define functions and classes of a script in __main__, and the globals of its functions.

    The first definition of a name stays: that of the task's function. A pickle of its own, such as
    that of an argument, may have an earlier state of the same script.
    """
    names = vars(sys.modules[_MAIN])
    for obj in made:
        if not isinstance(obj, _BY_NAME) or obj.__module__ != _MAIN:
            continue
        if obj.__qualname__.isidentifier():
            names.setdefault(obj.__name__, obj)
        for name, value in getattr(obj, "__globals__", {}).items():
            # Without __file__: multiprocessing would run the script again.
            if not name.startswith("__"):
                names.setdefault(name, value)


def _pickle_for_new_interpreters(reduction: types.ModuleType) -> None:
    """Let multiprocessing pickle the functions of the script by value for a process that was not forked.

    Its __main__ is empty. A worker of a pool ends when it cannot find a name there, and
    Pool.map waits for ever.
    """
    reduction.ForkingPickler.reducer_override = _reduce  # type: ignore[attr-defined]


def _reduce(pickler: Any, obj: Any) -> Any:
    if not isinstance(obj, _BY_NAME) or obj.__module__ != _MAIN or _only_forks():
        return NotImplemented
    if getattr(sys.modules[_MAIN], obj.__qualname__, None) is not obj:
        return NotImplemented
    import cloudpickle

    return cloudpickle.loads, (cloudpickle.dumps(obj),)


def _only_forks() -> bool:
    """Return whether the readers of multiprocessing's pickles are forks, which have this __main__.

    For them a name is enough, and keeps what a pool's initializer set in the globals.
    """
    context = importlib.import_module("multiprocessing.context")
    if context.get_spawning_popen() is not None:
        return bool(context.get_spawning_popen().method == "fork")
    children = importlib.import_module("multiprocessing.process")._children
    methods = {getattr(getattr(child, "_popen", None), "method", "fork") for child in children}
    if not methods:
        methods = {context._default_context.get_start_method()}
    return methods == {"fork"}
