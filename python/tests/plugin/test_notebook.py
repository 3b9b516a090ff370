"""The executor as users of a notebook and of an editor see it."""

import inspect
import pathlib
import re
import subprocess
import sys
import typing
import warnings

import covalent_taskgroup_plugin
import pytest
from covalent_taskgroup_plugin.options import ALIASES, DEFAULTS, executor_options
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor


@pytest.mark.parametrize("first", ["covalent", "covalent_taskgroup_plugin"])
def test_the_package_has_the_executor(first):
    program = (
        f"import {first}; import covalent as ct; from covalent_taskgroup_plugin import TaskGroupExecutor; "
        "assert ct.executor.TaskGroupExecutor is TaskGroupExecutor"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert covalent_taskgroup_plugin.TaskGroupExecutor is TaskGroupExecutor


def test_editors_complete_every_argument():
    parameters = dict(inspect.signature(TaskGroupExecutor).parameters)
    other = parameters.pop("other")
    assert other.kind is inspect.Parameter.VAR_KEYWORD
    assert parameters.keys() == DEFAULTS.keys()
    for name, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.annotation is not inspect.Parameter.empty
        # A dictionary or a list would be shared by all executors.
        assert parameter.default == (None if isinstance(DEFAULTS[name], (dict, list)) else DEFAULTS[name]), name


def test_every_argument_is_documented():
    described = inspect.getdoc(TaskGroupExecutor).splitlines()
    for name in DEFAULTS:
        assert any(line.startswith(f"    {name}: ") for line in described), name


DOCS = pathlib.Path(__file__).parents[3] / "docs/covalent.md"


def test_the_documentation_has_every_argument():
    rows = re.findall(r"^\| (`.*?) \|", DOCS.read_text(), re.MULTILINE)
    assert DEFAULTS.keys() <= set(re.findall(r"`(\w+)`", " ".join(rows)))


def test_the_example_of_the_documentation():
    section = DOCS.read_text().split("## In a notebook")[1]
    example, printed = re.findall(r"^```(?:python)?\n(.*?)```$", section, re.MULTILINE | re.DOTALL)[:2]
    names = {"TaskGroupExecutor": TaskGroupExecutor}
    exec(example, names)
    assert repr(names["large"]) == printed.strip()


def test_the_types_can_be_evaluated():
    assert typing.get_type_hints(TaskGroupExecutor.__init__).keys() >= DEFAULTS.keys()


def test_repr_has_what_differs_from_the_defaults():
    assert repr(TaskGroupExecutor()) == "TaskGroupExecutor()"
    executor = TaskGroupExecutor(memory="16 GB", gpu=1, retries=0, namespace="team-a")
    assert repr(executor) == "TaskGroupExecutor(memory='16G', gpu=1, namespace='team-a')"
    assert eval(repr(executor)).to_dict() == executor.to_dict()


def test_replace():
    base = TaskGroupExecutor(memory="16 GB", env={"A": "1"})
    base.image = "i"
    variant = base.replace(memory="32 GB", gpu=1)
    assert (variant.memory, variant.gpu, variant.image, variant.env) == ("32G", 1, "i", {"A": "1"})
    assert (base.memory, base.gpu) == ("16G", 0)
    variant.env["A"] = "2"
    assert base.env == {"A": "1"}
    assert base.replace(memory=None).memory == ""
    with pytest.raises(TypeError, match='no argument "memroy", did you mean "memory"'):
        base.replace(memroy="1 GB")
    with pytest.warns(DeprecationWarning, match="vcpu is deprecated: use cpu"):
        assert base.replace(cpu=1).replace(vcpu=2).cpu == "2"


def test_attributes_that_are_set_later():
    executor = TaskGroupExecutor()
    executor.memory, executor.time_limit = "16 GB", "90m"
    stored = executor.to_dict()["attributes"]
    assert (stored["memory"], stored["time_limit"]) == ("16G", 5400)
    options = executor_options(executor.__dict__)
    assert (options["pod"]["resources"]["limits"]["memory"], options["time_limit"]) == ("16G", 5400)
    executor.pod = {"tollerations": []}
    with pytest.raises(ValueError, match='unknown field "tollerations", did you mean "tolerations"'):
        executor_options(executor.__dict__)


@pytest.mark.parametrize(
    ("alias", "value"), [("vcpu", "500m"), ("k8s_context", "c"), ("k8s_config_file", "/k"), ("data_store", "s3://b")]
)
def test_names_of_the_previous_plugin(alias, value):
    with pytest.warns(DeprecationWarning, match=f"^{alias} is deprecated: use {ALIASES[alias]}$") as caught:
        executor = TaskGroupExecutor(**{alias: value})
    assert caught[0].filename == __file__
    assert getattr(executor, ALIASES[alias]) == value
    assert alias not in executor.to_dict()["attributes"]
    with pytest.raises(TypeError, match=f"has both {alias} and {ALIASES[alias]}"):
        TaskGroupExecutor(**{alias: value, ALIASES[alias]: value})


def test_own_names_are_not_deprecated():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TaskGroupExecutor(cpu=1, context="c", kubeconfig="/k", assets="s3://b").replace(cpu=2)
