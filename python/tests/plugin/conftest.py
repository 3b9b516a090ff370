"""A Covalent of the tests' own: its configuration must be elsewhere before it is imported."""

import os
import pathlib
import tempfile

_HOME = tempfile.TemporaryDirectory(prefix="covalent-home-")
os.environ["HOME"] = _HOME.name
for name in (
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "COVALENT_CONFIG_DIR",
    "KUBECONFIG",
):
    os.environ.pop(name, None)

import asyncio  # noqa: E402

import pytest  # noqa: E402
from covalent_taskgroup_plugin import bridge, process  # noqa: E402
from fake import FakeBridge  # noqa: E402

BINARY = pathlib.Path(__file__).parents[3] / "bin" / "taskgroup"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(bridge, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(bridge, "LONGEST_DELAY", 0.001)


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Run a story, an async function of a FakeBridge, against that bridge."""

    def run(story):
        async def whole():
            async with FakeBridge(str(tmp_path / "bridge.sock")) as fake:
                monkeypatch.setenv(process.SOCKET, fake.path)
                return await asyncio.wait_for(story(fake), 30)

        return asyncio.run(whole())

    return run


@pytest.fixture
def real(monkeypatch):
    """The real bridge, started by the plugin as a dispatcher would; ended afterwards."""
    if not BINARY.exists():
        pytest.skip("bin/taskgroup is not built: make build")
    monkeypatch.delenv(process.SOCKET, raising=False)
    monkeypatch.setenv(process.BINARY, str(BINARY))
    started = process.Process()
    monkeypatch.setattr(bridge, "PROCESS", started)
    yield started
    started.stop()
