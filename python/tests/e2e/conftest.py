"""One server for all tests; a module's workflows are dispatched together.

A test that is marked with workflow(lattice, *args, **kwargs) finds what became of it in
the fixture result. The workflows of a module are all dispatched before the first of its
tests waits, so that the cluster is busy all the time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest
from covalent._shared_files.config import _config_manager
from server import Result, Server
from world import ASSETS


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "workflow(lattice, *args, **kwargs): what the fixture result waits for")


def pytest_collection_finish(session: pytest.Session) -> None:
    # The functions are not in a module that dispatcher or pods have.
    for module in {item.module for item in session.items if isinstance(item, pytest.Function)}:
        cloudpickle.register_pickle_by_value(module)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    started = Server("main").start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def dispatched(request: pytest.FixtureRequest, server: Server) -> dict[str, str]:
    """The dispatches of the module's marked tests, by the tests' names."""
    dispatches = {}
    for item in request.session.items:
        marker = item.get_closest_marker("workflow")
        if marker is not None and item.path == request.path:
            lattice, *args = marker.args
            dispatches[item.name] = server.dispatch(lattice, *args, **marker.kwargs)
    return dispatches


@pytest.fixture
def result(request: pytest.FixtureRequest, server: Server, dispatched: dict[str, str]) -> Result:
    return server.ended(dispatched[request.node.name])


@pytest.fixture
def gate() -> Path:
    """A path that no other test uses; electrons wait until it exists."""
    return ASSETS / f"gate-{uuid.uuid4()}"


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workflows that the test dispatches have groups of several nodes."""
    # COVALENT_ENABLE_TASK_PACKING is read once, when covalent.conf is made; workflows are built as that file says.
    monkeypatch.setitem(_config_manager.config_data["sdk"], "task_packing", "true")
