"""Covalent's hooks: what runs around a function.

The asset is ``{}`` or ``{"deps": {"bash": dep, "pip": dep}, "call_before":
[dep], "call_after": [dep]}`` with dep = ``{"type", "short_name",
"attributes"}``. Order and semantics are those of
covalent/executor/utils/wrappers.py (0.240): bash, pip, call_before, the
function with what call_before returned, call_after. Unlike Covalent's, the
output of the commands is not thrown away: it is the task's.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable

from taskgroup_harness import failure, transportable
from taskgroup_harness.failure import TaskFailed

# A keyword whose values stay a list even where there is one
# (RESERVED_RETVAL_KEY__FILES in covalent/_workflow/depscall.py).
_FILES = "files"

# Raises TaskFailed for an exception of the loader in the words of what is loaded.
Loader = Callable[[Callable[[], Any], str], Any]


def read(path: str, uri: str) -> dict[str, Any]:
    """Return a hooks asset; ``{}`` for an empty file or path."""
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as asset:
            text = asset.read().strip()
        hooks = json.loads(text) if text else {}
        if not isinstance(hooks, dict):
            raise ValueError(f"a JSON {type(hooks).__name__}, not an object")
    except (OSError, ValueError) as err:
        raise TaskFailed(failure.INPUT_INVALID, f"{uri}: the hooks cannot be read: {err}") from err
    return hooks


def before(hooks: dict[str, Any], load: Loader) -> dict[str, Any]:
    """Run bash, pip and call_before; return the keyword arguments they give to the function."""
    deps = hooks.get("deps") or {}
    if deps.get("bash"):
        _run_bash(deps["bash"])
    if deps.get("pip"):
        _run_pip(deps["pip"])
    returned: dict[str, list[Any]] = {}
    for dep in hooks.get("call_before") or []:
        value = _call("call_before", dep, load)
        keyword = dep["attributes"].get("retval_keyword")
        if keyword:
            returned.setdefault(keyword, []).append(value)
    return {k: v[0] if len(v) == 1 and k != _FILES else v for k, v in returned.items()}


def after(hooks: dict[str, Any], load: Loader) -> None:
    """Run call_after."""
    for dep in hooks.get("call_after") or []:
        _call("call_after", dep, load)


def _attributes(kind: str, dep: Any) -> dict[str, Any]:
    attributes = dep.get("attributes") if isinstance(dep, dict) else None
    if not isinstance(attributes, dict):
        raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook: malformed: it has no attributes")
    return attributes


def _listed(kind: str, value: Any) -> list[str]:
    """Accept a string where a list of strings belongs, as Covalent does."""
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook: malformed: {value!r} is no list of strings")
    return value


def _run_bash(dep: Any) -> None:
    for command in _listed("bash", _attributes("bash", dep).get("commands", [])):
        done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, check=False)
        _expect_success(f"bash hook {command!r}", done.returncode)


def _run_pip(dep: Any) -> None:
    attributes = _attributes("pip", dep)
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    requirements = attributes.get("requirements_content") or ""
    if requirements:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(requirements)
        command += ["-r", file.name]
        what = "the requirements file"
    else:
        # Covalent joins and splits the list, so one entry may name several packages.
        packages = " ".join(_listed("pip", attributes.get("packages", []))).split()
        if not packages:
            return
        command += packages
        what = " ".join(packages)
    target = _target()
    if target:
        command += ["--target", target, "--upgrade"]
    # The image's own packages may be read-only or marked as the
    # distribution's; the pod is thrown away, so neither has to be respected.
    os.environ.setdefault("PIP_BREAK_SYSTEM_PACKAGES", "1")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    _expect_success(f"pip hook for {what}", done.returncode)
    _see_new_packages()


def _target() -> str:
    """Return where pip has to be told to install; empty where it finds a place itself.

    Without a place in the image that it may write to, pip takes the user's site
    directory, but a virtual environment has none.
    """
    import site
    import sysconfig

    if site.ENABLE_USER_SITE or os.access(sysconfig.get_path("purelib"), os.W_OK):
        return ""
    return os.path.join(os.path.expanduser("~"), "site-packages")


def _see_new_packages() -> None:
    """Let this process import what pip has just installed."""
    import site

    for directory in (_target(), site.getusersitepackages() if site.ENABLE_USER_SITE else ""):
        if os.path.isdir(directory) and directory not in sys.path:
            site.addsitedir(directory)
    importlib.invalidate_caches()


def _expect_success(what: str, code: int) -> None:
    if code == 0:
        return
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    raise TaskFailed(failure.HOOK_FAILED, f"{what}: {how}: see the task's stderr")


def _call(kind: str, dep: Any, load: Loader) -> Any:
    attributes = _attributes(kind, dep)
    parts = []
    for key in ("apply_fn", "apply_args", "apply_kwargs"):
        part = attributes.get(key)
        if not isinstance(part, dict) or "attributes" not in part:
            raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook: malformed: it has no {key}")
        parts.append(load(lambda p=part: transportable.load_attributes(p["attributes"]), f"the {kind} hook"))
    function, args, kwargs = parts
    try:
        return function(*args, **kwargs)
    except SystemExit as err:
        raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook: sys.exit({err.code!r})", err) from err
    except BaseException as err:
        name = getattr(function, "__name__", repr(function))
        raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook {name}: {failure.words(err)}", err) from err
