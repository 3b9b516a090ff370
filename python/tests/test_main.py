"""What the first file says of an image in which no task can run."""

import ast
import builtins
import json
import os
import pathlib
import subprocess
import sys

import main
import pytest

FILE = pathlib.Path(main.__file__)


def test_any_python_3_can_read_the_first_file():
    ast.parse(FILE.read_text(encoding="utf-8"), feature_version=(3, 4))
    # Python 3.6 is the oldest that is asked for, but nothing may need even that.
    assert "from __future__ import annotations" not in FILE.read_text(encoding="utf-8")


def test_python_is_new_enough():
    assert main.lack() is None


def test_python_is_too_old(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))
    assert (
        main.lack() == f"{sys.executable} is Python 3.8: a function needs Python 3.9 or newer: use an image that has it"
    )


@pytest.mark.parametrize("err", [ImportError("No module named 'cloudpickle'"), SyntaxError("not for this Python")])
def test_cloudpickle_cannot_be_imported(monkeypatch, err):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "cloudpickle":
            raise err
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert f"cannot import cloudpickle ({type(err).__name__}: {err.args[0]}): add it to the image" in main.lack()


def test_the_runner_gets_a_message_about_what_is_lacking():
    ours, theirs = os.pipe()
    # Isolated and without site-packages: no cloudpickle.
    become = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, ['python', '-I', '-S', sys.argv[2]])"
    )
    done = subprocess.Popen([sys.executable, "-c", become, str(theirs), str(FILE)], pass_fds=[theirs])
    os.close(theirs)
    with open(ours, encoding="utf-8") as events:
        message = json.loads(events.read())
    assert done.wait() == 1
    assert message["event"] == "unavailable"
    assert "cannot import cloudpickle" in message["message"]
