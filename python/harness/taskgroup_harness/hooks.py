"""Covalent's hooks: what runs around a function.

The asset is ``{}`` or ``{"deps": {"bash": dep, "pip": dep}, "call_before":
[dep], "call_after": [dep]}`` with dep = ``{"type", "short_name",
"attributes"}``. Order and semantics are those of
covalent/executor/utils/wrappers.py (0.240): bash, pip, call_before, the
function with the values that call_before returned, call_after. Covalent
discards the output of the commands; here it is in the task's streams.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any, Callable

from taskgroup_harness import failure, packages, transportable
from taskgroup_harness.failure import TaskFailed

# A keyword whose values stay a list even where there is one
# (RESERVED_RETVAL_KEY__FILES in covalent/_workflow/depscall.py).
_FILES = "files"

# Loads an object; raises TaskFailed with a message that has the given name of the object.
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


def before(hooks: dict[str, Any], load: Loader, folder: str) -> dict[str, Any]:
    """Run bash, pip and call_before; return the keyword arguments that they give to the function.

    pip installs into the environment in the folder. Raises TaskFailed if a hook fails
    or is malformed.
    """
    deps = hooks.get("deps") or {}
    if not isinstance(deps, dict):
        raise _malformed("deps", f"{deps!r} is not an object")
    if deps.get("bash"):
        _run_bash(deps["bash"])
    if deps.get("pip"):
        _run_pip(deps["pip"], folder)
    returned: dict[str, list[Any]] = {}
    for dep in _calls(hooks, "call_before"):
        value = _call("call_before", dep, load)
        keyword = dep["attributes"].get("retval_keyword")
        if not isinstance(keyword, (str, type(None))):
            raise _malformed("call_before", f"retval_keyword is {keyword!r}")
        if keyword:
            returned.setdefault(keyword, []).append(value)
    return {k: v[0] if len(v) == 1 and k != _FILES else v for k, v in returned.items()}


def after(hooks: dict[str, Any], load: Loader) -> None:
    """Run call_after. Raises TaskFailed if a hook fails or is malformed."""
    for dep in _calls(hooks, "call_after"):
        _call("call_after", dep, load)


def _malformed(kind: str, how: str) -> TaskFailed:
    return TaskFailed(failure.HOOK_FAILED, f"{kind} hook: malformed: {how}")


def _calls(hooks: dict[str, Any], kind: str) -> list[Any]:
    calls = hooks.get(kind) or []
    if not isinstance(calls, list):
        raise _malformed(kind, f"{calls!r} is not a list")
    return calls


def _attributes(kind: str, dep: Any) -> dict[str, Any]:
    attributes = dep.get("attributes") if isinstance(dep, dict) else None
    if not isinstance(attributes, dict):
        raise _malformed(kind, "it has no attributes")
    return attributes


def _strings(kind: str, value: Any) -> list[str]:
    """Accept a string in place of a list of strings, as Covalent does."""
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _malformed(kind, f"{value!r} is no list of strings")
    return value


def _run_bash(dep: Any) -> None:
    for command in _strings("bash", _attributes("bash", dep).get("commands", [])):
        what = f"bash hook {command!r}"
        try:
            done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, check=False)
        except (OSError, ValueError) as err:
            raise TaskFailed(failure.HOOK_FAILED, f"{what}: starting /bin/sh: {failure.exception_text(err)}") from err
        _expect_success(what, done.returncode)


def _run_pip(dep: Any, folder: str) -> None:
    attributes = _attributes("pip", dep)
    requirements = attributes.get("requirements_content") or ""
    if not isinstance(requirements, str):
        raise _malformed("pip", "requirements_content is not a string")
    # Covalent joins and splits the list, so one entry may name several packages.
    arguments = " ".join(_strings("pip", attributes.get("packages", []))).split()
    what = f"pip hook for {' '.join(arguments)}"
    if not requirements and not arguments:
        return
    try:
        if requirements:
            what = "pip hook for the requirements file"
            with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8") as file:
                file.write(requirements)
            arguments = ["-r", file.name]
        code = packages.pip_install(folder, arguments)
    except (OSError, ValueError) as err:
        raise TaskFailed(failure.HOOK_FAILED, f"{what}: {failure.exception_text(err)}") from err
    _expect_success(what, code)
    packages.activate(folder)


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
            raise _malformed(kind, f"it has no {key}")
        parts.append(load(lambda p=part: transportable.load_attributes(p["attributes"]), f"the {kind} hook"))
    function, args, kwargs = parts
    try:
        return function(*args, **kwargs)
    except SystemExit as err:
        raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook: sys.exit({err.code!r})", err) from err
    except BaseException as err:
        name = getattr(function, "__name__", repr(function))
        raise TaskFailed(failure.HOOK_FAILED, f"{kind} hook {name}: {failure.exception_text(err)}", err) from err
