"""What runs before and after an electron."""

import sys
import zipfile

import cloudpickle
import covalent as ct
import pytest
from world import ASSETS, on_cluster, workflow

# Hooks are pickled where they are written, before the tests are collected.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

cluster = on_cluster()
WHEELS = ASSETS / "wheels"


def remember(path, line):
    with open(path, "a") as file:
        file.write(line + "\n")


def lines_of(path):
    with open(path) as file:
        return file.read().split()


def answer(n):
    return n


ORDER = str(ASSETS / "order")


@ct.electron(
    executor=cluster,
    deps_bash=ct.DepsBash([f"echo bash >> {ORDER}", "echo from bash"]),
    call_before=[ct.DepsCall(remember, args=[ORDER, "before"]), ct.DepsCall(answer, args=[42], retval_keyword="given")],
    call_after=[ct.DepsCall(remember, args=[ORDER, "after"])],
)
def hooked(given=None):
    remember(ORDER, "electron")
    return given


@ct.electron(executor=cluster, deps_pip=ct.DepsPip(f"--no-index --find-links {WHEELS} taskgroup-greeting"))
def installed():
    import taskgroup_greeting

    return taskgroup_greeting.GREETING


@ct.electron(executor=cluster, deps_bash=ct.DepsBash("echo no such luck >&2; exit 3"))
def never():
    return "not reached"


@ct.electron(executor=cluster, deps_pip=ct.DepsPip(f"--no-index --find-links {WHEELS} taskgroup-nowhere"))
def uninstallable():
    return "not reached"


@ct.lattice(executor=cluster, workflow_executor="local")
def order():
    return hooked()


@ct.lattice(executor=cluster, workflow_executor="local")
def pip():
    return installed()


@ct.lattice(executor=cluster, workflow_executor="local")
def failing_bash():
    return never()


@ct.lattice(executor=cluster, workflow_executor="local")
def failing_pip():
    return uninstallable()


@pytest.fixture(scope="module", autouse=True)
def wheel():
    """A wheel in a folder that pods see."""
    WHEELS.mkdir()
    name, info = "taskgroup_greeting", "taskgroup_greeting-1.0.dist-info"
    with zipfile.ZipFile(WHEELS / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "GREETING = 'from the wheel'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: taskgroup-greeting\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@workflow(order)
def test_the_order_of_hooks(result):
    assert result.completed() == 42
    assert lines_of(ORDER) == ["bash", "before", "electron", "after"]
    assert result.node("hooked")["stdout"] == "from bash\n"


@workflow(pip)
def test_a_package_is_installed(result):
    assert result.completed() == "from the wheel"


@workflow(failing_bash)
def test_a_command_fails(result):
    assert result.node("never")["status"] == "FAILED"
    assert "exit code 3" in result.node("never")["error"]
    assert "no such luck" in result.node("never")["stderr"]


@workflow(failing_pip)
def test_a_package_cannot_be_installed(result):
    assert result.node("uninstallable")["status"] == "FAILED"
    assert "pip hook" in result.node("uninstallable")["error"]
    assert "No matching distribution found for taskgroup-nowhere" in result.node("uninstallable")["stderr"]
