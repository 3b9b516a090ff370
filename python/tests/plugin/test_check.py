"""check(): the report of a FakeBridge, and of the real one without a cluster."""

import asyncio
import os
import platform
import signal
import threading

import cloudpickle
import pytest
from covalent_taskgroup_plugin import checks
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import error

ANSWER = {
    "checks": [
        {"name": "cluster", "status": "ok", "message": "Kubernetes v1.37.2"},
        {
            "name": "permissions",
            "status": "failed",
            "message": "you may not create groups",
            "next": "ask for a role",
        },
        {"name": "pod", "status": "skipped", "message": "because permissions failed"},
    ],
    "ok": False,
}
PRINTED = """\
ok       cluster      Kubernetes v1.37.2
failed   permissions  you may not create groups
                      next: ask for a role
skipped  pod          because permissions failed
"""


def test_check_prints_and_returns_the_report_within_an_event_loop(play, capsys):
    async def story(fake):
        fake.answers["/v1/check"] = ANSWER

        # As in a notebook: check() is called on the thread of a running event loop, which it blocks; the bridge of the
        # test runs on that loop, so that another one is used here.
        report = await asyncio.to_thread(lambda: asyncio.run(within_a_loop()))
        assert not report
        assert [(found.name, found.status, found.next) for found in report.checks] == [
            ("cluster", "ok", ""),
            ("permissions", "failed", "ask for a role"),
            ("pod", "skipped", ""),
        ]
        assert repr(report) == "<Report: 1 ok, 1 failed, 1 skipped>"
        assert capsys.readouterr().out == PRINTED
        (request,) = fake.bodies("/v1/check")
        assert request.pop("executor")["namespace"] == "team"
        assert request.pop("version_info")["python"] == platform.python_version()
        assert request == {"cloudpickle": cloudpickle.__version__, "no_pod": True, "timeout_seconds": 5}

    async def within_a_loop():
        return TaskGroupExecutor(namespace="team").check(pod=False, seconds=5)

    play(story)


def test_warnings_and_skipped_checks_are_no_failures():
    found = [checks.Check("a", "ok", ""), checks.Check("b", "warning", "older"), checks.Check("c", "skipped", "")]
    assert checks.Report(tuple(found))
    assert not checks.Report((*found, checks.Check("image", "failed", "no cloudpickle")))


def test_an_error_of_the_bridge_is_an_exception(play):
    async def story(fake):
        fake.answers["/v1/check"] = error("Invalid", "namespace: no name", status=400)
        with pytest.raises(BridgeError, match="namespace: no name"):
            await asyncio.to_thread(TaskGroupExecutor().check)

    play(story)


@pytest.fixture
def interruptible():
    """Python ignores SIGINT if the process that started it does, as a shell does for a job in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_closes_the_request():
    begun, closed = threading.Event(), threading.Event()

    async def work():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    def interrupt():
        begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        checks._in_thread(work())
    assert closed.is_set()


def test_the_real_bridge_reports_a_cluster_that_does_not_answer(real, tmp_path, capsys):
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        '{"apiVersion": "v1", "kind": "Config", "current-context": "c", '
        '"contexts": [{"name": "c", "context": {"cluster": "c"}}], '
        '"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}'
    )
    folder = tmp_path / "assets"
    folder.mkdir()
    report = TaskGroupExecutor(kubeconfig=str(kubeconfig), assets=str(folder), namespace="team").check()
    by_name = {found.name: found for found in report.checks}
    assert not report
    assert {name: by_name[name].status for name in ("cluster", "store", "image")} == {
        "cluster": "failed",
        "store": "ok",
        "image": "skipped",
    }
    assert "https://127.0.0.1:1" in by_name["cluster"].next
    assert not list(folder.iterdir())
    assert "next: " in capsys.readouterr().out
