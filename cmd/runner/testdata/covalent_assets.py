"""Write what a Covalent client sends, with the real package: ``covalent_assets.py DIR``."""

import sys
from pathlib import Path

import covalent as ct
from covalent._workflow.electron import _build_sublattice_graph
from covalent._workflow.transportable_object import TransportableObject


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


if __name__ == "__main__":
    write(Path(sys.argv[1]))
