"""Workflows as people write them."""

import os

import covalent as ct
from world import on_cluster, workflow

cluster = on_cluster(env={"GREETING": "hello"})


@ct.electron(executor=cluster)
def source(n):
    print("from", n)
    return n


@ct.electron(executor=cluster)
def left(n):
    return n + 1


@ct.electron(executor=cluster)
def right(n, factor=2):
    return n * factor


@ct.electron(executor=cluster)
def join(a, b):
    return {"sum": a + b, "said": os.environ["GREETING"]}


@ct.electron(executor=cluster)
def broken(n):
    raise ValueError(f"{n} is not to be had")


# What Covalent itself adds to a workflow needs Covalent, which the image does not have: the dispatcher's machine has.
@ct.lattice(executor=cluster, workflow_executor="local")
def diamond(n):
    s = source(n)
    return join(left(s), right(s, factor=3))


@ct.lattice(executor=cluster, workflow_executor="local")
def failing(n):
    return broken(n)


@ct.lattice(executor=cluster, workflow_executor="local")
def wide(count):
    return [left(i) for i in range(count)]


@workflow(diamond, 7)
def test_a_diamond(result):
    assert result.completed() == {"sum": 29, "said": "hello"}
    assert result.node("source")["stdout"].strip() == "from 7"


@workflow(failing, 3)
def test_an_electron_that_raises(result):
    assert result.status == "FAILED"
    assert result.node("broken")["status"] == "FAILED"
    assert "ValueError: 3 is not to be had" in result.said("broken")
    for key in ("error", "stderr"):
        assert "ValueError: 3 is not to be had" in result.server.asset(result.dispatch, 0, key)


@workflow(wide, 50)
def test_fifty_at_a_time(result):
    assert result.completed() == list(range(1, 51))
