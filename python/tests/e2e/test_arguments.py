"""What electrons are called with, and nodes that Covalent makes of lists and dictionaries."""

import covalent as ct
from world import groups_of, on_cluster, workflow

cluster = on_cluster()


@ct.electron(executor=cluster)
def tell(a, b=2, *rest, c, d=4, **others):
    return [a, b, list(rest), c, d, others]


@ct.electron(executor=cluster)
def double(n):
    return 2 * n


@ct.electron(executor=cluster)
def pair(n):
    return n, {"next": n + 1}


@ct.electron(executor=cluster)
def total(numbers, named, extra=0):
    return sum(numbers) + sum(named.values()) + extra


@ct.lattice(executor=cluster, workflow_executor="local")
def all_kinds(n):
    return tell(n, double(n), 7, 8, c=double(4), e=double(5), f="f"), tell(n, c=None)


@ct.electron(executor=cluster)
def broken_pair(n):
    print("half of it", n, flush=True)
    raise ValueError("no pair")


@ct.lattice(executor=cluster, workflow_executor="local")
def of_a_broken_pair():
    first, second = broken_pair(10)
    return total([first, second], {})


@ct.lattice(executor=cluster, workflow_executor="local")
def collections():
    first, second = pair(10)
    return total([double(1), 3, double(2)], {"a": double(4), "b": first}, extra=second["next"])


EXPECTED = 2 + 3 + 4 + 8 + 10 + 11


@workflow(all_kinds, 1)
def test_all_kinds_of_arguments(result):
    first, second = result.completed()
    assert first == [1, 2, [7, 8], 8, 4, {"e": 10, "f": "f"}]
    assert second == [1, 2, [], None, 4, {}]


@workflow(collections)
def test_lists_and_dictionaries_of_electrons(result):
    assert result.completed() == EXPECTED
    assert {len(group["spec"]["tasks"]) for group in groups_of(result.dispatch)} == {1}


def test_packed_groups(server, packing):
    result = server.ended(server.dispatch(collections))
    assert result.completed() == EXPECTED
    sizes = sorted(len(group["spec"]["tasks"]) for group in groups_of(result.dispatch))
    # The pair with what is taken of it; total with a list and a dictionary, and the lists of its keys and values.
    assert sizes == [1, 1, 1, 4, 5]


def test_a_packed_group_whose_first_task_fails(server, packing):
    """Covalent's own runner of task groups loses the summaries of the tasks after one that fails; ours keeps all."""
    result = server.ended(server.dispatch(of_a_broken_pair))
    assert result.status == "FAILED"
    (group,) = groups_of(result.dispatch)
    nodes = {node["node_id"]: node for node in result.nodes}
    first, *others = [nodes[int(task["nodeID"])] for task in group["spec"]["tasks"]]
    assert first["status"] == "FAILED"
    assert first["error"].startswith("TaskError: ValueError: no pair"), first
    assert first["stdout"] == "half of it 10\n"
    # What is taken of the pair never ran.
    assert len(others) >= 2
    assert {node["status"] for node in others} == {"CANCELLED"}, result
