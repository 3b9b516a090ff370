"""Hooks: those that Covalent wrote, and malformed ones."""

import json

import pytest
from taskgroup_harness import failure, hooks, packages, transportable
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
def test_runs_what_covalent_wrote(capfd, tmp_path):
    steps = hooks.read(str(FIXTURE), "hooks.json")
    given = hooks.before(steps, load, str(tmp_path))
    assert given == {"six": 6, "many": [2, 4], "files": ["f"]}
    hooks.after(steps, load)
    # The commands write past the buffer of this process, so their place among the lines is unknown.
    lines = [line for line in capfd.readouterr().out.splitlines() if line not in {"one", "two"}]
    assert lines == ["multiply 2 3", "multiply 2 1", "multiply 4 1", "multiply f 1", "multiply 0 1", "multiply 9 1"]


@pytest.mark.parametrize("text", ["", "{}", " \n", '{"deps": {}, "call_before": [], "call_after": null}'])
def test_no_hooks(text, tmp_path):
    (tmp_path / "hooks").write_text(text)
    steps = hooks.read(str(tmp_path / "hooks"), "hooks")
    assert hooks.before(steps, load, str(tmp_path)) == {}
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
def test_hooks_that_fail(steps, message, tmp_path):
    with pytest.raises(failure.TaskFailed) as caught:
        hooks.before(steps, load, str(tmp_path))
    assert caught.value.reason == failure.HOOK_FAILED
    assert caught.value.message.startswith(message)


def test_pip_gets_covalents_arguments(monkeypatch, tmp_path):
    commands = []

    class Done:
        returncode = 0

    monkeypatch.setattr(packages.subprocess, "run", lambda command, **_: commands.append(command) or Done)
    monkeypatch.setattr(packages, "activate", lambda folder: None)
    monkeypatch.setattr(packages, "_precede", lambda folder: None)

    def pip(attributes):
        hooks.before({"deps": {"pip": {"attributes": attributes}}}, load, str(tmp_path / "packages"))

    pip({"packages": ["numpy==2", "a b"], "requirements_content": ""})
    pip({"packages": ["x"], "requirements_content": "scipy\n"})
    assert commands[0] == [
        str(tmp_path / "packages" / "interpreter" / "python3"),
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


def test_an_image_without_a_shell(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "/bin/sh")

    monkeypatch.setattr(hooks.subprocess, "run", refuse)
    with pytest.raises(failure.TaskFailed) as caught:
        hooks.before({"deps": {"bash": {"attributes": {"commands": ["true"]}}}}, load, str(tmp_path))
    assert (caught.value.reason, caught.value.message) == (
        failure.HOOK_FAILED,
        "bash hook 'true': starting /bin/sh: FileNotFoundError: [Errno 2] No such file or directory: '/bin/sh'",
    )
