"""executor="taskgroup": the section of covalent.conf, and files for the streams."""

import covalent as ct
import pytest
from server import Server
from world import arguments, groups_of, on_cluster


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
    server.environment["TASKGROUP_BRIDGE_CALLBACK_HOSTS"] = f"elsewhere,localhost:{server.port}"
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


def test_push_mode_by_the_servers_own_bridge(configured):
    executor = on_cluster(callback=configured.address)
    doubled = ct.electron(lambda n: 2 * n, executor=executor)
    lattice = ct.lattice(lambda n: doubled(doubled(n)), executor=executor, workflow_executor="local")
    result = configured.ended(configured.dispatch(lattice, 3))
    assert result.completed() == 12
    told = [g["metadata"]["annotations"]["kubernetes.covalent.xyz/delivered"] for g in groups_of(result.dispatch)]
    assert told == ["0", "2"]
