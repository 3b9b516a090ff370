"""Covalent's context of a task: what ``ct.get_context()`` returns in a function."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import Any

from taskgroup_harness import imports

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

    def set_context(module: ModuleType) -> None:
        module.current_context = module.Context(dispatch_id=dispatch, task_id=node)  # type: ignore[attr-defined]

    finder = imports.after_import(_MODULE, set_context)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)  # type: ignore[arg-type]
