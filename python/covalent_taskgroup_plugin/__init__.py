"""Covalent's executor for the TaskGroup operator: a thin client of `taskgroup executor`.

The program `taskgroup` makes all requests to Kubernetes (docs/executor-openapi.yaml has
its routes); this package contains only what requires Python. `taskgroup` is the module
that Covalent loads.
"""

# Covalent imports its plugins while it is imported itself. If this package were imported first, Covalent would find its
# modules partially initialized, and the executor would be missing.
import covalent  # noqa: F401

from .taskgroup import TaskGroupExecutor

__all__ = ["TaskGroupExecutor"]
__version__ = "0.1.0"
