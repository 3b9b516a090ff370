"""The demo's functions: pickled before the TaskGroups run, checked after.

Runs inside the cluster, in the task image, so that whoever tries the demo needs
no Python of their own:

    workflow.py prepare DIR              write functions and inputs below DIR
    workflow.py verify URI SHA256 WHAT   read a committed manifest and what it
                                         names; exit 1 unless all is as expected
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any, Callable

import cloudpickle


def add(x: int, y: int) -> int:
    print(f"adding {x} and {y}")
    return x + y


def scale(values: list, factor: int) -> list:
    print("scaling", values, file=sys.stderr)
    return [factor * value for value in values]


def describe(values: list) -> str:
    return f"{len(values)} Zahlen, größte {max(values)}"


def summarise(total: int, scaled: list, *, label: str) -> dict:
    print(f"{label}: {total} {scaled}")
    return {"total": total, "scaled": scaled, "label": label}


def fail() -> None:
    print("about to fail")
    raise ValueError("the demo wanted this")


def never(previous: Any) -> None:
    print("this must not run")


def linger() -> None:
    import time

    print("started, and in no hurry", flush=True)
    time.sleep(600)


FUNCTIONS: dict[str, Callable] = {f.__name__: f for f in (add, scale, describe, summarise, fail, never, linger)}
INPUTS = {"three": 3, "four": 4, "numbers": [1, 2, 3]}

# What each group must have left: per node its state, and per asset the result, or
# the text that the stream or the error must contain.
EXPECTED: dict[str, dict[int, tuple[str, dict[str, Any]]]] = {
    "covalent-functions": {
        3: ("COMPLETED", {"output": 7, "stdout": "adding 3 and 4\n", "stderr": ""}),
        4: ("COMPLETED", {"output": [3, 6, 9], "stdout": "", "stderr": "scaling [1, 2, 3]\n"}),
        5: ("COMPLETED", {"output": "3 Zahlen, größte 3"}),
        6: (
            "COMPLETED",
            {
                "output": {"total": 7, "scaled": [3, 6, 9], "label": "3 Zahlen, größte 3"},
                "stdout": "3 Zahlen, größte 3: 7 [3, 6, 9]\n",
            },
        ),
    },
    "failing": {
        0: (
            "FAILED",
            {"stdout": "about to fail\n", "stderr": "ValueError: the demo wanted this", "error": "TaskError"},
        ),
        1: ("CANCELLED", {}),
    },
    "cancelled": {0: ("CANCELLED", {"stdout": "started, and in no hurry\n"})},
}


def serialize(obj: Any) -> bytes:
    """Return the bytes of Covalent's TransportableObject for obj.

    The layout is that of covalent/_workflow/transportable_object.py.
    """
    header = {
        "py_version": platform.python_version(),
        "cloudpickle_version": cloudpickle.__version__,
        "attrs": {"doc": getattr(obj, "__doc__", "") or "", "name": getattr(obj, "__name__", "") or ""},
    }
    head = json.dumps(header).encode()
    text = str(obj).encode()
    string_at = 16 + len(head)
    data_at = string_at + len(text)
    return (
        string_at.to_bytes(8, "big")
        + data_at.to_bytes(8, "big")
        + head
        + text
        + base64.b64encode(cloudpickle.dumps(obj))
    )


def deserialize(archive: bytes) -> Any:
    data_at = int.from_bytes(archive[8:16], "big")
    return cloudpickle.loads(base64.b64decode(archive[data_at:]))


def prepare(directory: str) -> None:
    # By value: the pods that run the functions do not have this module.
    for kind, objects in (("functions", FUNCTIONS), ("inputs", INPUTS)):
        target = Path(directory, kind)
        target.mkdir(parents=True, exist_ok=True)
        for name, obj in objects.items():
            (target / name).write_bytes(serialize(obj))
            print(f"  {target / name}")


def read_asset(asset: dict) -> bytes:
    content = Path(asset["uri"].removeprefix("file://")).read_bytes()
    if len(content) != asset["size"] or hashlib.sha256(content).hexdigest() != asset["sha256"]:
        raise SystemExit(f"{asset['uri']} is not what the manifest says")
    return content


def as_expected(key: str, content: bytes, expected: Any) -> bool:
    if key == "output":
        return deserialize(content) == expected
    return expected in content.decode() if expected else not content


def verify(uri: str, sha256: str, group: str) -> None:
    raw = Path(uri.removeprefix("file://")).read_bytes()
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise SystemExit(f"{uri} is not the manifest that the status names")
    records = {record["nodeID"]: record for record in json.loads(raw)["tasks"]}
    wrong = []
    for node, (state, assets) in EXPECTED[group].items():
        record = records[node]
        if record["state"] != state:
            wrong.append(f"node {node} is {record['state']}, not {state}: {record.get('message')}")
        print(f"  node {node}: {record['state']} {record.get('message', '')}".rstrip())
        for key, expected in assets.items():
            content = read_asset(record["assets"][key])
            shown = deserialize(content) if key == "output" else content.decode()
            print(f"    {key}: {shown!r}"[:160])
            if not as_expected(key, content, expected):
                wrong.append(f"node {node}: {key} is {shown!r}, not {expected!r}")
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    {"prepare": prepare, "verify": verify}[sys.argv[1]](*sys.argv[2:])
