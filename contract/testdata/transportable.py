"""Write the golden TransportableObjects beside this file, with Covalent itself.

Run it with a Python 3.11 that has covalent==0.240.0 and cloudpickle==3.1.2:
``python transportable.py``. Each object is ``transportable/<name>.bin``; the
index of what is in them is ``transportable.json``.
"""

import json
import pathlib

import cloudpickle
import covalent
from covalent._workflow.transportable_object import TransportableObject

HERE = pathlib.Path(__file__).parent
# Pickled functions carry the path of their file: not that of a machine.
__file__ = "transportable.py"


class Named:
    """A docstring with "quotes" and ünïcode."""

    def __str__(self):
        """Return text of more than one byte a character."""
        return "Größe 日本語 🙂"

    def __reduce__(self):
        """Unpickle without this file."""
        return (str, ("Größe 日本語 🙂",))


def add(a, b=2, *, shift=0):
    """Add, and shift."""
    return a + b + shift


def fails(message="boom"):
    """Raise."""
    raise ValueError(message)


OBJECTS = {
    "none": None,
    "number": 42,
    "float": 0.1,
    "text": "ünïcode 日本語 🙂\nline",
    "empty-text": "",
    "list": [1, "two", None, [3.0]],
    "dict": {"a": 1, "ü": [2]},
    "bytes": bytes(range(256)) * 4,
    "named": Named(),
    "exception": ValueError("boom"),
    "function": add,
    "lambda": lambda x: x * 2,
    "failing-function": fails,
}


def main():
    """Write all fixtures."""
    directory = HERE / "transportable"
    directory.mkdir(exist_ok=True)
    index = {"covalent": covalent.__version__, "cloudpickle": cloudpickle.__version__, "objects": {}}
    for name, obj in OBJECTS.items():
        if callable(obj):
            obj.__code__ = obj.__code__.replace(co_filename=__file__)
        to = TransportableObject(obj)
        (directory / f"{name}.bin").write_bytes(to.serialize())
        index["objects"][name] = {
            "python": to.python_version,
            "name": to.attrs["name"],
            # The address in a function's text differs from run to run.
            "string": "" if callable(obj) else to.object_string,
        }
    (HERE / "transportable.json").write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
