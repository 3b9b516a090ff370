"""The part of the runner that runs in the image's Python.

One process of it serves all functions of a pod: it forks for each, so that a
function cannot harm another one, and that the modules to preload are imported
once. It needs the standard library and cloudpickle, never Covalent.
"""
