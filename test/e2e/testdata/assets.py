"""Writes what the end-to-end tests run, and reads what it left.

Runs in a pod with the task image, so that the Python that pickles is the one
that unpickles, whatever the machine of the tests has:

    assets.py write DIR        functions and inputs, right and wrong ones
    assets.py show FILE...     the repr of each result, a line each
"""

from __future__ import annotations

import base64
import json
import platform
import sys
import zipfile
from pathlib import Path
from typing import Any

import cloudpickle


def serialize(obj: Any, python: str = platform.python_version()) -> bytes:
    """Covalent's TransportableObject (covalent/_workflow/transportable_object.py)."""
    attrs = {"doc": getattr(obj, "__doc__", "") or "", "name": getattr(obj, "__name__", "") or ""}
    head = json.dumps({"py_version": python, "cloudpickle_version": cloudpickle.__version__, "attrs": attrs}).encode()
    text = str(obj).encode()
    string_at, data_at = 16 + len(head), 16 + len(head) + len(text)
    data = base64.b64encode(cloudpickle.dumps(obj))
    return string_at.to_bytes(8, "big") + data_at.to_bytes(8, "big") + head + text + data


def deserialize(archive: bytes) -> Any:
    return cloudpickle.loads(base64.b64decode(archive[int.from_bytes(archive[8:16], "big") :]))


def add(x, y):
    print(f"adding {x} and {y}")
    return x + y


def scale(values, factor=1):
    print("größer", file=sys.stderr)
    return [factor * value for value in values]


def join(*parts, sep):
    return sep.join(str(part) for part in parts)


def raises():
    print("before")
    raise ValueError("böse\nzweite Zeile")


def exits():
    print("before")
    sys.exit(3)


def leaves():
    import os

    print("before", flush=True)
    os._exit(0)


def kills_itself():
    import os
    import signal

    print("before", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def kills_its_parent():
    import os
    import signal
    import time

    print("before", flush=True)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def crashes():
    import ctypes

    print("before", flush=True)
    ctypes.string_at(0)


def unpicklable():
    import threading

    print("before")
    return threading.Lock()


def eats_memory():
    print("before", flush=True)
    hoard = []
    while True:
        hoard.append(bytearray(8 << 20))


def lingers():
    import time

    print("started", flush=True)
    time.sleep(600)


def whoami():
    import os

    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    try:
        open("/written", "w").close()
        root = "writable"
    except OSError:
        root = "read-only"
    return (os.getuid(), os.getgid(), root, os.path.exists(token))


class Bomb:
    """A gibibyte when it is unpickled, and none before."""

    def __reduce__(self):
        return (bytes.__mul__, (b"x", 1 << 30))


def uses_hooks():
    import os

    import tiny_hook_package

    with open(os.path.expanduser("~/from-bash")) as file:
        return (tiny_hook_package.VALUE, file.read(), tiny_hook_package.__file__.startswith("/taskgroup/"))


def multiplies():
    import numpy

    return numpy.arange(4).reshape(2, 2) @ numpy.eye(2)


def finds_bytecode(*modules):
    import importlib
    import os

    return all(os.path.exists(importlib.import_module(name).__cached__) for name in modules)


RIGHT = (
    add,
    scale,
    join,
    raises,
    exits,
    leaves,
    kills_itself,
    kills_its_parent,
    crashes,
    unpicklable,
    eats_memory,
    lingers,
    whoami,
    uses_hooks,
    multiplies,
    finds_bytecode,
)


def write(directory: str) -> None:
    functions, inputs = Path(directory, "functions"), Path(directory, "inputs")
    for folder in (functions, inputs):
        folder.mkdir(parents=True, exist_ok=True)
    for function in RIGHT:
        (functions / function.__name__).write_bytes(serialize(function))
    for name, value in {
        "three": 3,
        "four": 4,
        "numbers": [1, 2, 3],
        "dash": "–",
        "module": "cloudpickle",
        "other": "json",
    }.items():
        (inputs / name).write_bytes(serialize(value))

    write_hooks(Path(directory, "hooks"))

    (inputs / "bomb").write_bytes(serialize(Bomb()))

    good = serialize(add)
    (functions / "python-2.7").write_bytes(serialize(add, python="2.7.18"))
    (functions / "empty").write_bytes(b"")
    (functions / "no-archive").write_bytes(b"this is no TransportableObject at all")
    (functions / "truncated").write_bytes(good[: len(good) // 2])
    data_at = int.from_bytes(good[8:16], "big")
    (functions / "corrupt").write_bytes(good[:data_at] + base64.b64encode(b"\x80\x05no pickle"))
    # A function by reference to a module that no image has.
    by_reference = b"cmodule_that_nobody_has\nf\n."
    (functions / "missing-module").write_bytes(good[:data_at] + base64.b64encode(by_reference))
    (inputs / "forbidden").write_bytes(serialize(1))
    (inputs / "forbidden").chmod(0)
    (inputs / "folder").mkdir(exist_ok=True)


def write_hooks(folder: Path) -> None:
    """A bash and a pip hook (covalent/_workflow/depsbash.py, depspip.py), and the package it installs."""
    folder.mkdir(exist_ok=True)
    wheel = folder / "tiny_hook_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "tiny_hook_package-1.0.dist-info"
        archive.writestr("tiny_hook_package.py", "VALUE = 42\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-hook-package\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    hooks = {
        "deps": {
            "bash": {"attributes": {"commands": ["echo bash ran", "printf here > ~/from-bash"]}},
            "pip": {"attributes": {"packages": [str(wheel)], "requirements_content": ""}},
        }
    }
    (folder / "bash-and-pip").write_text(json.dumps(hooks))


def show(*files: str) -> None:
    for file in files:
        print(repr(deserialize(Path(file).read_bytes())))


if __name__ == "__main__":
    {"write": write, "show": show}[sys.argv[1]](*sys.argv[2:])
