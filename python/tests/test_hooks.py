"""Hooks: those that Covalent wrote, and those that nobody should have written."""

import importlib
import importlib.util
import json
import site
import sys
import zipfile

import pytest
from taskgroup_harness import failure, hooks, transportable
from test_transportable import GOLDEN

FIXTURE = GOLDEN / "hooks.json"


def load(read, name):
    return read()


def recorded_python():
    dep = json.loads(FIXTURE.read_text(encoding="utf-8"))["call_after"][0]
    return dep["attributes"]["apply_fn"]["attributes"]["_header"]["py_version"]


@pytest.mark.skipif(
    not transportable.same_minor(recorded_python()), reason="the golden hooks are of another minor version of Python"
)
def test_runs_what_covalent_wrote(capfd):
    steps = hooks.read(str(FIXTURE), "hooks.json")
    given = hooks.before(steps, load)
    assert given == {"six": 6, "many": [2, 4], "files": ["f"]}
    hooks.after(steps, load)
    # The commands write past the buffer of this process, so their place is not told here.
    lines = [line for line in capfd.readouterr().out.splitlines() if line not in {"one", "two"}]
    assert lines == ["multiply 2 3", "multiply 2 1", "multiply 4 1", "multiply f 1", "multiply 0 1", "multiply 9 1"]


@pytest.mark.parametrize("text", ["", "{}", " \n", '{"deps": {}, "call_before": [], "call_after": null}'])
def test_no_hooks(text, tmp_path):
    (tmp_path / "hooks").write_text(text)
    steps = hooks.read(str(tmp_path / "hooks"), "hooks")
    assert hooks.before(steps, load) == {}
    hooks.after(steps, load)


@pytest.mark.parametrize("text", ["[]", "1", "{", '"x"', "\xff"])
def test_what_is_no_hooks_asset(text, tmp_path):
    (tmp_path / "hooks").write_bytes(text.encode("latin-1"))
    with pytest.raises(failure.TaskFailed) as caught:
        hooks.read(str(tmp_path / "hooks"), "file:///hooks")
    assert caught.value.reason == failure.INPUT_INVALID
    assert caught.value.message.startswith("file:///hooks: the hooks cannot be read: ")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"deps": {"bash": {"attributes": {"commands": 3}}}}, "bash hook: malformed: 3 is no list of strings"),
        ({"deps": {"bash": []}, "call_before": [1]}, "call_before hook: malformed: it has no attributes"),
        ({"call_before": [{"attributes": {}}]}, "call_before hook: malformed: it has no apply_fn"),
        (
            {"deps": {"bash": {"attributes": {"commands": "kill -9 $$"}}}},
            "bash hook 'kill -9 $$': killed by signal 9: ",
        ),
    ],
)
def test_hooks_that_fail(steps, message):
    with pytest.raises(failure.TaskFailed) as caught:
        hooks.before(steps, load)
    assert caught.value.reason == failure.HOOK_FAILED
    assert caught.value.message.startswith(message)


def test_pip_gets_covalents_arguments(monkeypatch):
    commands = []

    class Done:
        returncode = 0

    monkeypatch.setattr(hooks.subprocess, "run", lambda command, **_: commands.append(command) or Done)
    monkeypatch.setenv("PIP_BREAK_SYSTEM_PACKAGES", "1")
    hooks.before({"deps": {"pip": {"attributes": {"packages": ["numpy==2", "a b"], "requirements_content": ""}}}}, load)
    hooks.before({"deps": {"pip": {"attributes": {"packages": ["x"], "requirements_content": "scipy\n"}}}}, load)
    assert commands[0][1:] == [
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "numpy==2",
        "a",
        "b",
    ]
    assert commands[1][-2] == "-r"
    with open(commands[1][-1]) as file:
        assert file.read() == "scipy\n"


def test_pip_is_told_where_an_environment_has_no_place(monkeypatch, tmp_path):
    """A virtual environment of a read-only image has no user site."""
    wheel = tmp_path / "tiny_hook_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_hook_package.py", "VALUE = 42\n")
        archive.writestr(
            "tiny_hook_package-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-hook-package\nVersion: 1.0\n"
        )
        archive.writestr(
            "tiny_hook_package-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_hook_package-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hooks.os, "access", lambda *_: False)
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    try:
        hooks.before({"deps": {"pip": {"attributes": {"packages": [str(wheel)]}}}}, load)
        assert importlib.import_module("tiny_hook_package").VALUE == 42
        assert importlib.util.find_spec("tiny_hook_package").origin.startswith(str(tmp_path / "home"))
    finally:
        sys.modules.pop("tiny_hook_package", None)
