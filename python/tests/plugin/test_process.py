"""The real bridge's process, and what it says of a cluster that is not there."""

import asyncio
import errno
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from covalent._shared_files.config import _config_manager
from covalent_taskgroup_plugin import bridge, process, taskgroup
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
    folder = real.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "bridge.sock").stat().st_mode) == 0o600
    real.stop()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_its_log_is_beside_those_of_covalent_and_outlives_it(real, nobody, monkeypatch, tmp_path):
    logs = tmp_path / "logs"
    monkeypatch.setitem(_config_manager.config_data["dispatcher"], "log_dir", str(logs))
    asyncio.run(handle_of(nobody))
    real.stop()
    (log,) = logs.iterdir()
    assert log == real.log
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    events = [json.loads(line)["msg"] for line in log.read_text().splitlines()]
    assert events[0] == "Serving"
    # The next bridge appends to it.
    asyncio.run(handle_of(nobody))
    assert [json.loads(line)["msg"] for line in log.read_text().splitlines()] == [*events, "Serving"]


def test_a_log_that_cannot_be_written_is_beside_the_socket(real, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setitem(_config_manager.config_data["dispatcher"], "log_dir", str(tmp_path / "file" / "logs"))
    real.start()
    assert "Serving" in (real.folder / "bridge.log").read_text()


def test_folders_of_killed_bridges_are_removed(real, monkeypatch, tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        monkeypatch.setitem(_config_manager.config_data["dispatcher"], "cache_dir", parent)
        left, young, serving, other = (os.path.join(parent, f"taskgroup-{n}") for n in ("left", "young", "up", "other"))
        for folder in (left, young, serving, other):
            os.mkdir(folder)
        (Path(other) / "notes").write_text("")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.path.join(left, "bridge.sock"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.path.join(serving, "bridge.sock"))
            listening.listen()
            for folder in (left, serving, other):
                os.utime(folder, (1, 1))
            real.start()
        assert real.folder.parent == Path(parent)
        assert not os.path.exists(left)
        assert all(os.path.exists(folder) for folder in (young, serving, other))
        real.stop()


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
        "print(PROCESS.pid, PROCESS.folder, flush=True); sys.stdin.read()"
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


def test_it_ends_with_a_dispatcher_that_has_forked(real):
    script = (
        "import os, sys; from covalent_taskgroup_plugin.process import PROCESS; PROCESS.start()\n"
        "if os.fork() == 0:\n    sys.stdin.read(); os._exit(0)\n"
        "print(PROCESS.pid, PROCESS.folder, flush=True); os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid, folder = parent.stdout.readline().split()
        watched = os.pidfd_open(int(pid))
        # The forked child runs until its standard input is closed.
        assert select.select([watched], [], [], 20)[0], "the bridge outlived its dispatcher"
    os.close(watched)
    shutil.rmtree(folder)


@pytest.mark.parametrize("verb", ["handle", "cancel", "receive"])
def test_a_kubeconfig_that_is_not_there(real, monkeypatch, verb):
    monkeypatch.setattr(taskgroup, "RECEIVE_SECONDS", 0)
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


def test_the_socket_is_where_no_logout_removes_it(real, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert not real.start().startswith(str(tmp_path))


@pytest.mark.parametrize("name", ["x" * 90, "missing"])
def test_a_folder_that_cannot_hold_a_socket(real, monkeypatch, tmp_path, name):
    monkeypatch.setitem(_config_manager.config_data["dispatcher"], "cache_dir", str(tmp_path / name))
    assert not real.start().startswith(str(tmp_path))


@pytest.mark.parametrize("lost", ["the folder", "the socket"])
def test_a_bridge_whose_socket_was_removed_is_replaced(real, nobody, lost):
    async def story():
        first = await handle_of(nobody)
        killed = real._child
        if lost == "the folder":
            shutil.rmtree(real.folder)
        else:
            (real.folder / "bridge.sock").unlink()
        # Many requests find out at once; they share one new bridge.
        assert await asyncio.gather(*(handle_of(nobody) for _ in range(20))) == [first] * 20
        assert real.pid not in (None, killed.pid)
        # It was not asked to stop: that would cancel the groups of cancel_on_stop.
        assert killed.returncode == -signal.SIGKILL

    asyncio.run(story())


def test_a_bridge_that_does_not_answer_is_replaced(real, nobody, monkeypatch):
    monkeypatch.setattr(process, "PROBE_SECONDS", 0.1)

    async def story():
        first = await handle_of(nobody)
        pid = real.pid
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        with pytest.raises(BridgeError, match=r"did not answer /v1/handle in 0\.1 s") as raised:
            await bridge.call("/v1/handle", {"executor": nobody._options(), "task_group_metadata": GROUP}, 0.1)
        assert raised.value.retry
        assert real.pid not in (None, pid)
        assert await handle_of(nobody) == first

    asyncio.run(story())


def test_a_dispatcher_without_descriptors_does_not_replace_its_bridge(real, monkeypatch):
    socket = real.start()
    pid = real.pid

    def none_left(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(process.socket, "socket", none_left)
    with pytest.raises(BridgeError, match="Too many open files") as raised:
        real.start(socket)
    assert raised.value.retry
    monkeypatch.undo()
    assert (real.start(socket), real.pid) == (socket, pid)


def test_polls_outlast_a_program_that_is_being_replaced(real, nobody, monkeypatch, tmp_path):
    program = tmp_path / "taskgroup"
    shutil.copy(os.environ[process.BINARY], program)
    monkeypatch.setenv(process.BINARY, str(program))
    tried = asyncio.Event()
    monkeypatch.setattr(bridge, "warn", lambda *_: tried.set())

    async def story():
        handle = (await handle_of(nobody))["handle"]
        polls = [asyncio.create_task(nobody.poll(GROUP, {**handle, "name": f"tg-{n}"})) for n in range(20)]
        program.rename(tmp_path / "away")
        os.kill(real.pid, signal.SIGKILL)
        await asyncio.wait_for(tried.wait(), 20)
        (tmp_path / "away").rename(program)
        while real.pid is None:
            await asyncio.sleep(0.001)
        assert not any(poll.done() for poll in polls)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    asyncio.run(story())
