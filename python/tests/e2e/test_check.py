"""check() of executors on the real cluster, as a notebook calls it."""

import asyncio

import pytest
from world import ASSETS, kubectl, on_cluster


def statuses(executor, **arguments):
    """Return the checks by name, of a call within a running event loop."""

    async def in_a_notebook():
        return executor.check(**arguments)

    report = asyncio.run(in_a_notebook())
    assert "taskgroup-check" not in kubectl("-n", "plugin", "get", "taskgroups", "-o", "name")
    assert not list(ASSETS.glob("**/taskgroup-check-*"))
    return report, {found.name: found for found in report.checks}


def test_check_of_an_executor_that_works():
    report, found = statuses(on_cluster())
    assert report, report
    # The cloudpickle of the image may be older than that of this process.
    assert {check.status for check in report.checks if check.name != "image"} == {"ok"}
    assert "Python 3." in found["image"].message


@pytest.mark.parametrize(
    ("changes", "name", "message", "advice"),
    [
        ({"python": "/no/such/python"}, "image", "no such file", "PythonUnavailable"),
        ({"service_account": "nobody"}, "pod", "nobody", ""),
        ({"assets": "file:///elsewhere"}, "store", "/elsewhere", "local_paths"),
        (
            {"namespace": "no-such-namespace"},
            "namespace",
            "does not exist",
            "kubectl create namespace no-such-namespace",
        ),
    ],
)
def test_check_says_what_is_missing(changes, name, message, advice):
    report, found = statuses(on_cluster(**changes), seconds=20)
    assert not report
    assert found[name].status == "failed", report
    assert message in found[name].message
    assert advice in found[name].next
