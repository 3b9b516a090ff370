"""Write examples of what a dispatcher and an executor exchange, with Covalent itself.

Run it with a Python that has covalent==0.240.0: ``python shapes.py``. The
shapes go to ``shapes.json``.
"""

import json
import pathlib

from covalent._shared_files.util_classes import RESULT_STATUS
from covalent.executor.schemas import ResourceMap, TaskSpec, TaskUpdate

SHA256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
DISPATCH = "6f1c6d2e-3a52-4b7e-9a3f-0b8f3c1d2e4a"


def update(node, status, assets):
    """Return a TaskUpdate."""
    return TaskUpdate(dispatch_id=DISPATCH, node_id=node, status=status, assets=assets)


EXAMPLES = {
    "task_specs": [
        TaskSpec(electron_id=3, args=[0, 1], kwargs={"k": 2}),
        TaskSpec(electron_id=4, args=[], kwargs={}),
    ],
    "resource_maps": [
        ResourceMap(
            functions={3: "file:///data/function-3", 4: ""},
            inputs={0: "file:///data/node_0"},
            hooks={3: "file:///data/hooks-3"},
        ),
        ResourceMap(functions={}, inputs={}, hooks={}),
    ],
    "task_updates": [
        update(
            3,
            RESULT_STATUS.COMPLETED,
            {
                "output": {"remote_uri": "file:///out/3/output", "size": 5, "digest_alg": "sha256", "digest": SHA256},
                "stdout": {"remote_uri": "file:///out/3/stdout", "size": 0},
            },
        ),
        update(4, RESULT_STATUS.FAILED, {"error": {"remote_uri": "file:///cache/error", "size": 12}}),
        update(5, RESULT_STATUS.CANCELLED, {}),
    ],
}


def main():
    """Write the examples as Covalent's models dump them."""
    dumped = {key: [m.model_dump(mode="json", exclude_none=True) for m in models] for key, models in EXAMPLES.items()}
    target = pathlib.Path(__file__).with_name("shapes.json")
    target.write_text(json.dumps(dumped, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
