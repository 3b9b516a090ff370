"""What users see of functions whose pickle has no file name, with each release of cloudpickle on either side."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from taskgroup_harness import unpickler

ROOT = pathlib.Path(__file__).parents[2]
HARNESS = ROOT / "python" / "harness"
# The last release that pickles file names, and the first that does not.
NAMED, UNNAMED = "3.1.2", "3.1.3"

WORKFLOW = """\
import dataclasses, json, sys, warnings
from taskgroup_harness import transportable


def broken():
    raise ValueError("boom")


def outer():
    def inner():
        raise ValueError("boom")

    return [inner() for _ in range(1)]


class Broken:
    def __call__(self):
        raise ValueError("boom")


@dataclasses.dataclass
class Checked:
    value: int

    def __post_init__(self):
        raise ValueError("boom")


def generated():
    return Checked(1)


def warn():
    warnings.warn("beware", stacklevel=1)


for name, value in {"broken": broken, "outer": outer, "method": Broken(), "generated": generated, "warn": warn}.items():
    transportable.dump(value, f"{sys.argv[1]}/{name}")
"""

# Runs a pickled function as task.py does; prints the traceback, the warnings and what inspect returns.
RUN = """\
import inspect, json, sys, types, warnings
from taskgroup_harness import failure, transportable
sys.modules["__main__"] = types.ModuleType("__main__")
function = transportable.load(sys.argv[1])
seen = {"traceback": "", "warnings": []}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        function()
    except BaseException as err:
        err.__traceback__ = err.__traceback__.tb_next
        seen["traceback"] = failure.TaskFailed("", "", err).traceback()
    seen["warnings"] = [[warning.filename, warning.lineno] for warning in caught]
for name in ("getsourcefile", "getsource"):
    try:
        seen[name] = getattr(inspect, name)(function)
    except (OSError, TypeError) as err:
        seen[name] = type(err).__name__
print(json.dumps(seen))
"""


def python(release, *arguments, **options):
    """Run Python with a release of cloudpickle."""
    packages = ROOT / ".cache" / "cloudpickle" / release
    if not (packages / "ready").exists():
        pytest.skip(f"no cloudpickle {release}: make venv")
    environment = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{HARNESS}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=[NAMED, UNNAMED], ids="pickled with {}".format)
def pickled(request, tmp_path_factory):
    """The folder of a script and of its functions as a release pickled them."""
    folder = tmp_path_factory.mktemp("pickled")
    script = folder / "workflow.py"
    script.write_text(WORKFLOW, encoding="utf-8")
    python(request.param, script, folder)
    return request.param, folder


@pytest.fixture(params=[NAMED, UNNAMED], ids="run with {}".format)
def run(request, tmp_path):
    """Run a pickled function with a release, and return what it shows."""
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    return lambda file: json.loads(python(request.param, tmp_path / "run.py", file))


def line_of(text):
    return WORKFLOW.splitlines().index(text) + 1


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("broken", [('    raise ValueError("boom")', "broken")]),
        ("outer", [("    return [inner() for _ in range(1)]", "outer"), ('        raise ValueError("boom")', "inner")]),
        ("method", [("    def __call__(self):", "__call__")]),
    ],
)
def test_a_traceback_names_the_file_and_quotes_it(pickled, run, name, frames):
    script = pickled[1] / "workflow.py"
    trace = run(pickled[1] / name)["traceback"]
    assert unpickler.DYNAMIC_CODE not in trace
    for source, function in frames:
        # The frame of a method is that of the line after its head.
        line = line_of(source) + (source.lstrip().startswith("def "))
        assert (
            f'  File "{script}", line {line}, in {function}\n    {WORKFLOW.splitlines()[line - 1].strip()}\n' in trace
        )
    assert trace.endswith("ValueError: boom\n")


def test_a_machine_without_the_script_shows_file_and_line(pickled, run):
    script = pickled[1] / "workflow.py"
    away = script.rename(pickled[1] / "away.py")
    try:
        seen = run(pickled[1] / "broken")
    finally:
        away.rename(script)
    line = line_of('    raise ValueError("boom")')
    assert seen["traceback"].splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{script}", line {line}, in broken',
        "ValueError: boom",
    ]
    assert (seen["getsourcefile"], seen["getsource"]) == (None, "OSError")


def test_inspect_finds_the_source(pickled, run):
    seen = run(pickled[1] / "broken")
    assert seen["getsourcefile"] == str(pickled[1] / "workflow.py")
    assert seen["getsource"] == 'def broken():\n    raise ValueError("boom")\n'


def test_a_warning_names_the_file(pickled, run):
    line = line_of('    warnings.warn("beware", stacklevel=1)')
    assert run(pickled[1] / "warn")["warnings"] == [[str(pickled[1] / "workflow.py"), line]]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="code objects have no qualified name")
def test_generated_code_gets_no_file(pickled, run):
    release, folder = pickled
    trace = run(folder / "generated")["traceback"]
    file = "<string>" if release == NAMED else unpickler.DYNAMIC_CODE
    assert re.search(rf'^  File "{file}", line \d, in __init__$', trace, re.MULTILINE)
    assert (
        f'  File "{folder / "workflow.py"}", line {line_of("    def __post_init__(self):") + 1}, in __post_init__\n'
        in trace
    )


@pytest.mark.parametrize("release", [NAMED, UNNAMED])
def test_a_function_without_a_file_shows_line_and_name(run, release, tmp_path):
    """As a notebook or an interactive session defines it."""
    python(release, "-c", WORKFLOW, tmp_path)
    file = "<string>" if release == NAMED else unpickler.DYNAMIC_CODE
    seen = run(tmp_path / "broken")
    line = line_of('    raise ValueError("boom")')
    assert f'  File "{file}", line {line}, in broken\nValueError: boom\n' in seen["traceback"]
    assert seen["getsource"] == "OSError"
