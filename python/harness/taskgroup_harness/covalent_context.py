"""Covalent's context of a task: what ``ct.get_context()`` returns in a function."""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

# covalent/executor/utils/context.py (0.240).
_MODULE = "covalent.executor.utils.context"


@contextlib.contextmanager
def of(dispatch: str, node: int) -> Any:
    """Set the context, now or when the function imports Covalent; without Covalent, nothing happens.

    Covalent takes half a second to import, so it is left to the function.
    """
    module = sys.modules.get(_MODULE)
    if module is not None:
        with module.set_context(dispatch, node):
            yield
        return
    finder = _Finder(dispatch, node)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)


class _Finder:
    """Sets the context in the module when it is imported."""

    def __init__(self, dispatch: str, node: int) -> None:
        self._dispatch = dispatch
        self._node = node

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_set(module: ModuleType) -> None:
            execute(module)
            module.current_context = module.Context(dispatch_id=self._dispatch, task_id=self._node)

        spec.loader.exec_module = execute_and_set  # type: ignore[method-assign]
        return spec
