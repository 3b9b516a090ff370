"""The version of the plugin in a release: hack/wheels.py."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "python" / "covalent_taskgroup_plugin" / "__init__.py"


@pytest.fixture
def wheels():
    spec = importlib.util.spec_from_file_location("wheels", ROOT / "hack" / "wheels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path):
    copied = tmp_path / "__init__.py"
    copied.write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
    return copied


def versions(package):
    return re.findall(r'^__version__ = "(.*)"$', package.read_text(encoding="utf-8"), re.MULTILINE)


def test_a_release_sets_the_version(wheels, package, monkeypatch):
    monkeypatch.setenv("PLUGIN_VERSION", "0.2.0rc1")
    wheels.release(package)
    assert versions(package) == ["0.2.0rc1"]
    assert len(package.read_text().splitlines()) == len(SOURCE.read_text().splitlines())


def test_other_builds_have_the_version_of_the_sources(wheels, package, monkeypatch):
    monkeypatch.delenv("PLUGIN_VERSION", raising=False)
    wheels.release(package)
    assert package.read_bytes() == SOURCE.read_bytes()
    assert len(versions(package)) == 1


def test_a_package_without_a_version_is_an_error(wheels, package, monkeypatch):
    monkeypatch.setenv("PLUGIN_VERSION", "0.2.0")
    package.write_text("")
    with pytest.raises(SystemExit, match="has no version"):
        wheels.release(package)


def test_the_modes_of_a_checkout_do_not_matter(wheels, package):
    package.chmod(0o600)
    folder = package.parent / "folder"
    folder.mkdir(mode=0o700)
    wheels.settle(package.parent)
    assert package.stat().st_mode & 0o777 == 0o644
    assert folder.stat().st_mode & 0o777 == 0o755
