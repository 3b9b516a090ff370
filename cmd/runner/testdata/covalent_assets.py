"""Write what a Covalent client sends, with the real package: ``covalent_assets.py DIR``."""

import contextlib
import io
import json
import sys
from pathlib import Path

import covalent as ct
from covalent._workflow.depscall import DepsCall
from covalent._workflow.electron import _build_sublattice_graph
from covalent._workflow.transportable_object import TransportableObject
from covalent.executor.utils import set_context
from covalent.executor.utils.wrappers import wrapper_fn


def imports_covalent_itself():
    import covalent

    context = covalent.get_context()
    return (context.dispatch_id, context.task_id)


def brings_covalent():
    context = ct.get_context()
    return (context.dispatch_id, context.task_id)


@ct.electron
def double(x):
    return 2 * x


@ct.lattice
def doubles(x):
    return double(double(x))


@ct.electron
@ct.lattice
def sublattice(x):
    return doubles(x)


def prints_the_context(when):
    context = ct.get_context()
    print(when, context.dispatch_id, context.task_id)
    return context.dispatch_id, context.task_id


class LoadedInContext:
    """Unpickles as the context in which that happens."""

    def __reduce__(self):
        return prints_the_context, ("unpickled",)


def compares(loaded, before):
    return loaded, prints_the_context("function"), before


def write_contexts(directory: Path) -> None:
    """Write a function with hooks, and what it prints and returns in Covalent's own wrapper."""
    before = DepsCall(prints_the_context, ["before"], retval_keyword="before")
    after = DepsCall(prints_the_context, ["after"])
    function, argument = TransportableObject(compares), TransportableObject(LoadedInContext())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), set_context("6f1c", 5):
        returned = wrapper_fn(function, [before.apply()], [after.apply()], argument).get_deserialized()
    (directory / "contexts-function").write_bytes(function.serialize())
    (directory / "contexts-argument").write_bytes(argument.serialize())
    hooks = {"deps": {}, "call_before": [before.to_dict()], "call_after": [after.to_dict()]}
    (directory / "contexts-hooks").write_text(json.dumps(hooks))
    (directory / "contexts-printed").write_text(printed.getvalue())
    (directory / "contexts-returned").write_text(str(returned))


def write(directory: Path) -> None:
    parent = '{"executor": "local", "executor_data": {}, "workflow_executor": "local", "workflow_executor_data": {}, "hooks": {}, "triggers": null}'
    assets = {
        "covalent-imports": imports_covalent_itself,
        "covalent-brings": brings_covalent,
        "covalent-sublattice": _build_sublattice_graph,
        "covalent-lattice": doubles,
        "covalent-parent": parent,
        "covalent-three": 3,
    }
    for name, value in assets.items():
        (directory / name).write_bytes(TransportableObject(value).serialize())
    write_contexts(directory)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
