"""What the operator enforces, and what is left of an electron that ended badly."""

import os
import sys
import time

import covalent as ct
from world import ASSETS, groups_of, on_cluster, workflow


def lattice_of(electron):
    """Make a workflow of one electron."""

    def single(*args):
        return electron(*args)

    return ct.lattice(single, executor=on_cluster(), workflow_executor="local")


def hoard(megabytes):
    print("before it", flush=True)
    held = b"x" * (megabytes << 20)
    return len(held) >> 20


def pause():
    print("it was seen", flush=True)
    while True:
        time.sleep(60)


def second_time(path):
    if not os.path.exists(path):
        with open(path, "w"):
            raise ValueError("the first time")
    return "the second time"


def leave(code):
    print("not what one does", file=sys.stderr)
    os._exit(code)


little = {"memory": "96Mi"}
too_large = lattice_of(ct.electron(hoard, executor=on_cluster(**little)))
large_enough = lattice_of(ct.electron(hoard, executor=on_cluster(**little, oom_memory_factor="4", retries=1)))
too_long = lattice_of(ct.electron(pause, executor=on_cluster(time_limit=10)))
tried_again = lattice_of(ct.electron(second_time, executor=on_cluster(retries=1)))
leaving = lattice_of(ct.electron(leave, executor=on_cluster()))
untold = lattice_of(ct.electron(leave, executor=on_cluster(callback="http://localhost:1")))
nowhere = lattice_of(ct.electron(leave, executor=on_cluster(namespace="plugin-nowhere")))


@workflow(too_large, 200)
def test_more_memory_than_there_is(result):
    assert result.status == "FAILED"
    node = result.node("hoard")
    assert node["error"].startswith("OOMKilled: "), node["error"]
    assert "memory limit 96.0 MiB" in node["error"]
    assert result.server.asset(result.dispatch, 0, "error") == node["error"]


@workflow(large_enough, 200)
def test_more_memory_after_an_oom(result):
    assert result.completed() == 200
    (group,) = groups_of(result.dispatch)
    assert group["status"]["attempt"] == 2
    assert group["status"]["jobs"][0]["reason"] == "OOMKilled"


@workflow(too_long)
def test_a_time_limit(result):
    assert result.status == "FAILED"
    node = result.node("pause")
    assert node["error"].startswith("DeadlineExceeded: "), node["error"]
    assert node["stdout"] == "it was seen\n"


@workflow(tried_again, str(ASSETS / "marker"))
def test_a_second_attempt(result):
    assert result.completed() == "the second time"
    (group,) = groups_of(result.dispatch)
    assert group["status"]["attempt"] == 2


@workflow(leaving, 7)
def test_an_exit_code(result):
    assert result.status == "FAILED"
    node = result.node("leave")
    assert "exit code 7" in node["error"]
    assert node["stderr"] == "not what one does\n"


@workflow(nowhere, 0)
def test_a_namespace_that_is_not_there(result):
    assert result.status == "FAILED"
    assert "plugin-nowhere" in result.node("leave")["error"]


@workflow(untold, 0)
def test_a_callback_that_nobody_would_send(result):
    assert result.status == "FAILED"
    assert "TASKGROUP_BRIDGE_CALLBACK_HOSTS" in result.node("leave")["error"]
    assert groups_of(result.dispatch) == []
