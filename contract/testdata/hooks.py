"""Write hooks.json beside this file: a hooks asset as Covalent itself makes it.

Run it with a Python 3.11 that has covalent==0.240.0 and cloudpickle==3.1.2:
``python hooks.py``.
"""

import json
import pathlib

import covalent as ct
from covalent._workflow.depscall import RESERVED_RETVAL_KEY__FILES, DepsCall

HERE = pathlib.Path(__file__).parent
# Pickled functions carry the path of their file: not that of a machine.
__file__ = "hooks.py"


def multiply(a, b=1):
    print("multiply", a, b)
    return a * b


def main():
    """Write the fixture."""
    multiply.__code__ = multiply.__code__.replace(co_filename=__file__)
    hooks = {
        "deps": {
            "bash": ct.DepsBash(["echo one", "echo two"]).to_dict(),
            # Empty, so that a test needs no network.
            "pip": ct.DepsPip([]).to_dict(),
        },
        "call_before": [
            DepsCall(multiply, [2], {"b": 3}, retval_keyword="six").to_dict(),
            DepsCall(multiply, [2], retval_keyword="many").to_dict(),
            DepsCall(multiply, [4], retval_keyword="many").to_dict(),
            DepsCall(
                multiply, ["f"], retval_keyword=RESERVED_RETVAL_KEY__FILES, override_reserved_retval_keys=True
            ).to_dict(),
            DepsCall(multiply, [0]).to_dict(),
        ],
        "call_after": [DepsCall(multiply, [9]).to_dict()],
    }
    # str() of a function is its address.
    text = json.dumps(hooks, indent=2, ensure_ascii=False)
    for dep in hooks["call_before"] + hooks["call_after"] + list(hooks["deps"].values()):
        text = text.replace(json.dumps(dep["attributes"]["apply_fn"]["attributes"]["_object_string"]), '"<function>"')
    (HERE / "hooks.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
