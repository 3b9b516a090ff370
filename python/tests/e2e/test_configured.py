"""executor="taskgroup": the section of covalent.conf, and files for the streams."""

import covalent as ct
import pytest
from server import Server
from world import arguments, groups_of


@ct.electron(executor="taskgroup")
def speak(n):
    import sys

    print("said", n)
    print("muttered", n, file=sys.stderr)
    return n


@ct.lattice(executor="taskgroup", workflow_executor="local")
def talk(n):
    return speak(n), speak(n + 1)


@pytest.fixture(scope="module")
def configured():
    server = Server("configured")
    settings = arguments(time_limit=99, log_stdout="logs/out.txt", log_stderr="logs/err.txt")
    server.configure({f"executors.taskgroup.{name}": value for name, value in settings.items()})
    yield server.start()
    server.stop()


def test_an_executor_by_name(configured):
    result = configured.ended(configured.dispatch(talk, 1))
    assert result.completed() == [1, 2]
    assert {group["spec"]["timeouts"]["runningSeconds"] for group in groups_of(result.dispatch)} == {99}
    logs = configured.results / result.dispatch / "logs"
    assert sorted((logs / "out.txt").read_text().splitlines()) == ["said 1", "said 2"]
    assert sorted((logs / "err.txt").read_text().splitlines()) == ["muttered 1", "muttered 2"]
