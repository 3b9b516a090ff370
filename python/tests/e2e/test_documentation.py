"""The Python of the documentation, run as a user runs it: a script, Covalent's server, and a kubeconfig."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from server import Server
from world import ROOT, kubectl

# As in test/docs/blocks.go.
PATTERNS = ["*.md", "docs/*.md", "docs/*/*.md", "python/*.md", "python/*/*.md", "hack/*/*.md", ".github/*.md"]
# A block and the line above it, where a marker has why the tests do not run the block.
BLOCK = re.compile(r"^([^\n]*)\n *```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# What a line prints is in a comment at its end.
PRINTS = re.compile(r"^print\(.*\) +# (.+)$", re.MULTILINE)
NAMESPACE = "team-a"


def blocks() -> list[object]:
    return [
        pytest.param(block, id=str(page.relative_to(ROOT)))
        for page in sorted(page for pattern in PATTERNS for page in ROOT.glob(pattern))
        for above, block in BLOCK.findall(page.read_text())
        if "<!-- not run: " not in above
    ]


@pytest.fixture(scope="module")
def namespace() -> Iterator[None]:
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    yield
    # Other tests follow the documentation, too.
    kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")


def test_there_are_blocks_that_run() -> None:
    assert len(blocks()) >= 2


@pytest.mark.parametrize("block", blocks())
def test_a_block(server: Server, namespace: None, block: str, tmp_path) -> None:
    script = tmp_path / "workflow.py"
    script.write_text(block)
    done = subprocess.run(
        [sys.executable, script], env=server.environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == PRINTS.findall(block)
