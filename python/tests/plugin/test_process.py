"""The real bridge's process, and what it says of a cluster that is not there."""

import asyncio
import os
import select
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from covalent_taskgroup_plugin import bridge, process
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import GROUP, HANDLE

NOBODY = """
apiVersion: v1
kind: Config
current-context: nobody
contexts: [{name: nobody, context: {cluster: nobody, user: nobody, namespace: team}}]
clusters: [{name: nobody, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {}}]
"""


@pytest.fixture
def nobody(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(NOBODY)
    return TaskGroupExecutor(kubeconfig=str(path))


def handle_of(executor):
    return bridge.call("/v1/handle", {"executor": executor._options(), "task_group_metadata": GROUP})


def test_it_starts_once_for_all_and_alone(real, nobody):
    async def story():
        answers = await asyncio.gather(*(handle_of(nobody) for _ in range(20)))
        assert {a["handle"]["namespace"] for a in answers} == {"team"}
        return real.pid

    pid = asyncio.run(story())
    assert pid is not None
    # Another event loop of the same process has the same bridge.
    asyncio.run(handle_of(nobody))
    assert real.pid == pid
    folder = real.log.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "bridge.sock").stat().st_mode) == 0o600
    real.stop()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_died_is_started_again(real, nobody):
    async def story():
        first = (await handle_of(nobody), real.pid)
        os.kill(real.pid, signal.SIGKILL)
        assert await handle_of(nobody) == first[0]
        assert real.pid != first[1]

    asyncio.run(story())


def test_it_ends_with_a_dispatcher_that_is_killed(real):
    script = (
        "import os, signal, sys; from covalent_taskgroup_plugin.process import PROCESS; PROCESS.start();"
        "print(PROCESS.pid, PROCESS.log.parent, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid, folder = parent.stdout.readline().split()
        watched = os.pidfd_open(int(pid))
        parent.kill()
    assert select.select([watched], [], [], 20)[0], "the bridge outlived its dispatcher"
    os.close(watched)
    assert not os.path.exists(os.path.join(folder, "bridge.sock"))
    shutil.rmtree(folder)


@pytest.mark.parametrize("verb", ["handle", "cancel", "receive"])
def test_a_kubeconfig_that_is_not_there(real, verb):
    executor = TaskGroupExecutor(kubeconfig="/none/kubeconfig")
    requests = {
        "handle": handle_of(executor),
        "receive": executor.receive(GROUP, {"handle": HANDLE}),
        "cancel": bridge.call(
            "/v1/cancel",
            {"executor": executor._options(), "task_metadata": {"dispatch_id": "d", "node_id": 3}, "job_handle": None},
        ),
    }
    chosen = requests.pop(verb)
    for other in requests.values():
        other.close()
    with pytest.raises(BridgeError, match="/none/kubeconfig") as raised:
        asyncio.run(chosen)
    assert raised.value.code == "Configuration"


def test_a_cluster_that_does_not_answer(real, nobody):
    async def story():
        handle = (await handle_of(nobody))["handle"]
        with pytest.raises(BridgeError, match=r"127\.0\.0\.1:1: connect: connection refused") as raised:
            await bridge.call(
                "/v1/receive", {"executor": nobody._options(), "task_group_metadata": GROUP, "data": {"handle": handle}}
            )
        assert (raised.value.code, raised.value.retry) == ("Unavailable", True)

    asyncio.run(story())


def test_a_program_that_is_missing_or_does_not_start(real, monkeypatch):
    monkeypatch.setenv(process.BINARY, "/none/taskgroup")
    with pytest.raises(BridgeError, match="TASKGROUP_BRIDGE is '/none/taskgroup'"):
        real.start()
    monkeypatch.delenv(process.BINARY)
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(BridgeError, match="taskgroup is not installed: put it on the dispatcher's PATH"):
        real.start()
    monkeypatch.setenv(process.BINARY, "/bin/false")
    with pytest.raises(BridgeError, match="/bin/false ended with status 1: it wrote nothing"):
        real.start()


def test_a_runtime_folder_that_is_too_long_for_a_socket(real, monkeypatch, tmp_path):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert not real.start().startswith(str(long))
