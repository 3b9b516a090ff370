"""Covalent's executor for the TaskGroup operator: a thin client of `taskgroup executor`.

Everything that knows Kubernetes is in that program (docs/executor-openapi.yaml has
its routes); here is only what has to be Python. `taskgroup` is the module that
Covalent loads.
"""

# Covalent imports its plugins while it is imported itself. Where this package comes first, Covalent would find its
# modules half made, and the executor would be missing.
import covalent  # noqa: F401

__version__ = "0.1.0"
