"""Fixtures: a task of a script, in a harness of its own."""

import array
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest
from taskgroup_harness import transportable

HARNESS = pathlib.Path(__file__).parents[1] / "harness"


@dataclasses.dataclass
class Ended:
    """The results of a task."""

    report: dict
    exit: dict
    stdout: str
    stderr: str
    files: list
    text: str


class Harness:
    """The harness as the runner uses it: a process with a socket."""

    def __init__(self, folder, *preload):
        ours, theirs = socket.socketpair()
        self._folder, self._control = folder, ours
        self._tasks = 0
        self.log = folder / "log"
        # The socket has to be descriptor 3 of a program that is started with its own descriptors.
        become = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
        )
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", become, str(theirs.fileno()), str(HARNESS / "main.py"), *preload],
                pass_fds=[theirs.fileno()],
                stderr=log,
                cwd=folder,
            )
        theirs.close()
        self._lines = ours.makefile("rb")
        self._events = iter(lambda: json.loads(self._lines.readline()), None)
        assert next(self._events)["event"] == "ready"

    def close(self):
        self._lines.close()
        self._control.close()
        assert self._process.wait(timeout=30) == 0

    def run(self, script, hooks=None, **request):
        """Run the function ``task`` of a script, which is pickled as functions of a script are."""
        self._tasks += 1
        folder = self._folder / str(self._tasks)
        (folder / "scratch").mkdir(parents=True)
        namespace = {"__name__": "__main__"}
        exec(compile(script, "script.py", "exec"), namespace)
        transportable.dump(namespace["task"], str(folder / "function"))
        (folder / "hooks").write_text(json.dumps(hooks or {}), encoding="utf-8")
        message = {
            "node": 7,
            "dispatch": "6f1c",
            "function": {"path": str(folder / "function"), "name": "the function"},
            "hooks": {"path": str(folder / "hooks") if hooks is not None else "", "name": "the hooks"},
            "args": [],
            "kwargs": {},
            "directory": str(folder / "scratch"),
            "environment": {},
            "output": str(folder / "output"),
            "report": str(folder / "report.json"),
            "packages": str(self._folder / "packages"),
            "seconds": 0,
            **request,
        }
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
            descriptors = array.array("i", [out.fileno(), err.fileno()])
            self._control.sendmsg(
                [json.dumps(message).encode() + b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            )
        event = next(self._events)
        if event["event"] == "started":
            event = next(self._events)
        report, output = folder / "report.json", folder / "output"
        text = ""
        if output.exists():
            raw = output.read_bytes()
            text = raw[int.from_bytes(raw[:8], "big") : int.from_bytes(raw[8:16], "big")].decode()
        return Ended(
            report=json.loads(report.read_text()) if report.exists() else {},
            exit=event,
            stdout=(folder / "stdout").read_text(encoding="utf-8", errors="replace"),
            stderr=(folder / "stderr").read_text(encoding="utf-8", errors="replace"),
            files=sorted(set(os.listdir(folder)) - {"function", "hooks", "scratch", "stdout", "stderr"}),
            text=text,
        )


@pytest.fixture
def start_harness(tmp_path):
    """Start a harness with modules to preload."""
    started = []

    def start(*preload):
        started.append(Harness(tmp_path, *preload))
        return started[-1]

    yield start
    for harness in started:
        harness.close()


@pytest.fixture
def run_task(start_harness):
    """Run the function ``task`` of a script."""
    return start_harness().run
