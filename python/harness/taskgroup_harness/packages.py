"""The packages that pip hooks install: one environment for all tasks of a group.

It is a virtual environment on top of the image's Python, in the work directory. pip sees the
packages of the image in it, and keeps those that satisfy a requirement; it installs all others,
also in another version than that of the image, without writing to the image. The environment
precedes the image on the path of the function and of its child processes. All later tasks of the
group have it too, as Covalent's packed groups share one environment.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import site
import subprocess
import sys
from types import ModuleType

from taskgroup_harness import failure
from taskgroup_harness.failure import TaskFailed

# Options of pip that a user or an image may set for its own environment.
_OPTIONS = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


def site_packages(folder: str) -> str:
    """Return the folder of the packages in an environment."""
    threads = "t" if "t" in getattr(sys, "abiflags", "") else ""
    return os.path.join(folder, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}{threads}", "site-packages")


def pip_install(folder: str, arguments: list[str]) -> int:
    """Install packages into an environment, which is created, and return pip's exit code.

    Raises OSError if the environment cannot be created or its Python cannot be started.
    """
    interpreter = _create(folder)
    _precede(folder)
    environment = {name: value for name, value in os.environ.items() if name not in _OPTIONS}
    # A configuration file may say otherwise, which pip refuses in a virtual environment.
    environment["PIP_USER"] = "0"
    command = [interpreter, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False, env=environment).returncode


def activate(folder: str) -> None:
    """Let this process and its children import the packages of an environment, if it exists.

    Raises TaskFailed if one of them is loaded already and cannot be replaced.
    """
    packages = site_packages(folder)
    if not os.path.isdir(packages):
        return
    _precede(folder)
    if packages in sys.path:
        sys.path.remove(packages)
    sys.path.insert(0, packages)
    site.addsitedir(packages)
    _unload_replaced(packages)
    importlib.invalidate_caches()


def _create(folder: str) -> str:
    """Create an environment, if it does not exist, and return its interpreter."""
    interpreter = os.path.join(folder, "interpreter", "python3")
    if os.path.exists(interpreter):
        return interpreter
    packages = site_packages(folder)
    base = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    os.makedirs(packages, exist_ok=True)
    os.makedirs(os.path.dirname(interpreter), exist_ok=True)
    with open(os.path.join(folder, "pyvenv.cfg"), "w", encoding="utf-8") as config:
        config.write(f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n")
    # Whatever the image's Python finds, in a virtual environment or not, and in the same order.
    with open(os.path.join(packages, "taskgroup_image.pth"), "w", encoding="utf-8") as image:
        image.writelines(f"{path}\n" for path in _image_path(packages))
    os.symlink(base, interpreter)
    return interpreter


def _image_path(packages: str) -> list[str]:
    """Return the folders of the image's packages: sys.path without the standard library."""
    library = os.path.dirname(os.__file__)
    own = (packages, library, os.path.join(library, "lib-dynload"))
    return [path for path in sys.path if os.path.isdir(path) and path not in own]


def _precede(folder: str) -> None:
    """Put an environment's packages and programs first on the paths of child processes."""
    for variable, path in (("PYTHONPATH", site_packages(folder)), ("PATH", os.path.join(folder, "bin"))):
        entries = os.environ.get(variable, "").split(os.pathsep)
        if entries[0] != path:
            os.environ[variable] = os.pathsep.join([path, *filter(None, entries)])


def _unload_replaced(packages: str) -> None:
    """Remove modules from sys.modules that are in the environment but were loaded from the image."""
    replaced = {name for name, module in list(sys.modules.items()) if _is_replaced(name, module, packages)}
    stale = [name for name in sys.modules if name in replaced or _has_parent_in(name, replaced)]
    for name in stale:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
            top = name.partition(".")[0]
            version = getattr(sys.modules.get(top), "__version__", "of the image")
            raise TaskFailed(
                failure.HOOK_FAILED,
                f"pip hook: {top} is already loaded in version {version}, and its compiled modules cannot be "
                "replaced: install the version in the image",
            )
    for name in stale:
        del sys.modules[name]


def _is_replaced(name: str, module: ModuleType, packages: str) -> bool:
    file = getattr(module, "__file__", None)
    if not file or file.startswith(packages + os.sep):
        return False
    path = os.path.join(packages, *name.split("."))
    return any(
        os.path.exists(candidate)
        for candidate in (os.path.join(path, "__init__.py"), *(path + s for s in importlib.machinery.all_suffixes()))
    )


def _has_parent_in(name: str, names: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in names for length in range(1, len(parts)))
