"""pip hooks that replace a package of the image, in all layouts of a Python; pip needs no network."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import types
import venv
import zipfile

import pytest
from taskgroup_harness import failure, packages

HARNESS = pathlib.Path(__file__).parents[1] / "harness"
NAME = "taskgroup_tiny"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this Python has no pip")


def wheel(folder, version, requires=()):
    """Write a wheel with one module and one program, and return its path."""
    path = folder / f"{NAME}-{version}-py3-none-any.whl"
    info = f"{NAME}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {name}\n" for name in requires)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}/__init__.py", f"VERSION = {version!r}\ndef main():\n    print(VERSION)\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{NAME}={NAME}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return str(path)


def unpack(folder, site_packages, version):
    """Give an image a version of the package."""
    with zipfile.ZipFile(wheel(folder, version)) as archive:
        archive.extractall(site_packages)


def library(base):
    return pathlib.Path(base, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def environment(tmp_path, system_site_packages):
    """Make a virtual environment as the image's Python; it finds pip and cloudpickle in that of the tests."""
    folder = tmp_path / "image"
    venv.EnvBuilder(system_site_packages=system_site_packages, symlinks=True).create(folder)
    site_packages = library(folder)
    (site_packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(folder / "bin" / "python"), site_packages, {}


def user_site(tmp_path):
    """The system's Python with a package in the user's own folder."""
    home = tmp_path / "home"
    site_packages = library(home / ".local")
    site_packages.mkdir(parents=True)
    (site_packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return os.path.realpath(sys._base_executable), site_packages, {"HOME": str(home)}


def python_path(tmp_path):
    """A package in a folder that the image's PYTHONPATH names."""
    site_packages = tmp_path / "vendored"
    site_packages.mkdir()
    return sys.executable, site_packages, {"PYTHONPATH": str(site_packages)}


LAYOUTS = {
    "virtual environment": lambda tmp_path: environment(tmp_path, False),
    "virtual environment with the system's packages": lambda tmp_path: environment(tmp_path, True),
    "user site": user_site,
    "PYTHONPATH": python_path,
}

# Runs in the image's Python: the hook, and then what the function and its children see.
HOOK = """\
import importlib, importlib.metadata, json, shutil, subprocess, sys
sys.path.insert(0, sys.argv[1])
from taskgroup_harness import packages
sys.path.pop(0)
before = importlib.import_module("taskgroup_tiny").VERSION
code = packages.pip_install(sys.argv[2], sys.argv[3:])
packages.activate(sys.argv[2])
seen = [importlib.import_module("taskgroup_tiny").VERSION, importlib.metadata.version("taskgroup_tiny")]
child = "from importlib import metadata as m; import taskgroup_tiny as t; print(t.VERSION, m.version('taskgroup_tiny'))"
seen += subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.split()
if shutil.which("taskgroup_tiny"):
    seen += subprocess.run(["taskgroup_tiny"], capture_output=True, text=True).stdout.split()
print(json.dumps([code, before, seen]), file=sys.__stderr__)
"""


def run_hook(python, variables, folder, *arguments):
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    done = subprocess.run(
        [python, "-c", HOOK, str(HARNESS), str(folder), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stderr.splitlines()[-1]), done.stdout


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("user", ["", "1"], ids=["", "PIP_USER"])
def test_the_package_of_the_hook_precedes_that_of_the_image(layout, user, tmp_path):
    python, site_packages, variables = LAYOUTS[layout](tmp_path)
    unpack(tmp_path, site_packages, "1.0")
    before = sorted(str(path) for path in site_packages.rglob("*"))
    variables["PIP_USER"] = user or "0"
    seen, _ = run_hook(python, variables, tmp_path / "packages", wheel(tmp_path, "2.0"))
    assert seen == [0, "1.0", ["2.0"] * 5]
    # The image may be read-only.
    assert sorted(str(path) for path in site_packages.rglob("*")) == before


def test_a_package_of_the_image_satisfies_a_requirement(tmp_path):
    """A hook must not download, for example, the PyTorch that the image has."""
    python, site_packages, variables = python_path(tmp_path)
    unpack(tmp_path, site_packages, "1.0")
    seen, output = run_hook(python, variables, tmp_path / "packages", f"{NAME}>=1")
    assert seen == [0, "1.0", ["1.0"] * 4]
    assert "Requirement already satisfied" in output


def test_a_later_hook_of_the_group_replaces_the_package_again(tmp_path):
    python, site_packages, variables = python_path(tmp_path)
    unpack(tmp_path, site_packages, "1.0")
    for version in ("2.0", "3.0"):
        seen, _ = run_hook(python, variables, tmp_path / "packages", wheel(tmp_path, version))
        assert seen[2] == [version] * 5
    found = [path.name for path in library(tmp_path / "packages").glob("*.dist-info")]
    assert found == [f"{NAME}-3.0.dist-info"]


@pytest.fixture
def loaded(monkeypatch):
    """Load a package as from the image."""

    def load(name, *parts, suffix=".py"):
        for part in ("", *parts):
            module = types.ModuleType(f"{name}.{part}".rstrip("."))
            module.__file__ = f"/image/{name}/{part or '__init__'}{suffix if part else '.py'}"
            monkeypatch.setitem(sys.modules, module.__name__, module)
        sys.modules[name].__version__ = "1.0"

    return load


def provide(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()


def test_modules_that_pip_replaced_are_unloaded(loaded, tmp_path):
    loaded("tiny_replaced", "part")
    loaded("tiny_kept", "part")
    provide(tmp_path, "tiny_replaced")
    packages._unload_replaced(str(tmp_path))
    assert [name for name in sys.modules if name.startswith("tiny_")] == ["tiny_kept", "tiny_kept.part"]


def test_compiled_modules_cannot_be_replaced(loaded, tmp_path):
    loaded("tiny_compiled", "core", suffix=importlib.machinery.EXTENSION_SUFFIXES[0])
    provide(tmp_path, "tiny_compiled")
    with pytest.raises(failure.TaskFailed) as caught:
        packages._unload_replaced(str(tmp_path))
    assert caught.value.reason == failure.HOOK_FAILED
    assert caught.value.message.startswith("pip hook: tiny_compiled is already loaded in version 1.0, and its compiled")
    assert "tiny_compiled" in sys.modules


SEEN = """\
import importlib, importlib.metadata, subprocess, sys
def task():
    code = "import taskgroup_tiny; print(taskgroup_tiny.VERSION)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True)
    return importlib.import_module("taskgroup_tiny").VERSION, importlib.metadata.version("taskgroup_tiny"), child.stdout
"""


def test_later_tasks_of_the_group_see_the_package(start_harness, tmp_path, monkeypatch):
    _, site_packages, variables = python_path(tmp_path)
    unpack(tmp_path, site_packages, "1.0")
    for name, value in {**variables, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    harness = start_harness("taskgroup_tiny")
    assert harness.run(SEEN).text == str(("1.0", "1.0", b"1.0\n"))
    hooks = {"deps": {"pip": {"attributes": {"packages": [wheel(tmp_path, "2.0")]}}}}
    ended = harness.run(SEEN, hooks=hooks)
    assert ended.text == str(("2.0", "2.0", b"2.0\n")), ended.stderr
    assert harness.run(SEEN).text == str(("2.0", "2.0", b"2.0\n"))
