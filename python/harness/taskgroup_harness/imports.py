"""Actions that follow the import of a module, for modules that are too slow to import early."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType
from typing import Any, Callable


class AfterImport:
    """Runs an action with a module after it was imported, for sys.meta_path."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._action = action

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        """Return the spec of the module with a loader that runs the action, as importlib requests it."""
        if name != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            execute(module)
            self._action(module)

        spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec


def after_import(name: str, action: Callable[[ModuleType], None]) -> AfterImport | None:
    """Run an action now if a module is loaded, else when it is; return what waits for that."""
    module = sys.modules.get(name)
    if module is not None:
        action(module)
        return None
    finder = AfterImport(name, action)
    sys.meta_path.insert(0, finder)
    return finder
