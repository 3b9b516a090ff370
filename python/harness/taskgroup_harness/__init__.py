"""The part of the runner that lives in the image's Python.

One process of it serves all functions of a pod: it forks for each, so that
imports are paid once and a function can hurt only itself. It needs the
standard library and cloudpickle, never Covalent.
"""
