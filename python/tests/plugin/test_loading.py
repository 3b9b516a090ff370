"""How the real Covalent finds, configures, stores and rebuilds the executor."""

import asyncio
import importlib.metadata
import json
import pathlib

import covalent as ct
import covalent_taskgroup_plugin.taskgroup as module
import pytest
from click.testing import CliRunner
from covalent._file_transfer.file import File
from covalent._file_transfer.file_transfer import guess_transfer_strategy
from covalent._shared_files.config import get_config
from covalent._shared_files.util_classes import RESULT_STATUS, Status
from covalent.executor import _executor_manager
from covalent.executor.base import AsyncBaseExecutor
from covalent_dispatcher._cli.cli import cli
from covalent_dispatcher._core.runner_modules.utils import get_executor
from covalent_taskgroup_plugin import objects
from covalent_taskgroup_plugin.options import DEFAULTS, executor_options, here
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

# A value of each argument that is a short form.
SHORT = {
    "image": "i",
    "cpu": "1",
    "memory": "1Gi",
    "gpu": 2,
    "gpu_resource": "amd.com/gpu",
    "disk": "1Gi",
    "shared_memory": "1Gi",
    "env": {"A": "1"},
    "secrets": ["s"],
    "secret_env": {"B": "s/k"},
    "volumes": {"/data": "claim"},
    "workdir": "/w",
    "node_selector": {"a": "b"},
    "tolerations": ["gpu"],
    "priority": "p",
    "service_account": "s",
    "image_pull_secrets": ["s"],
    "python": "python3.12",
}
CONTRACT = pathlib.Path(__file__).parents[3] / "contract/testdata"


def test_the_entry_point_names_the_module():
    (entry,) = [
        e for e in importlib.metadata.entry_points(group="covalent.executor.executor_plugins") if e.name == "taskgroup"
    ]
    assert entry.load() is module


def test_covalent_finds_it_under_its_short_name():
    assert _executor_manager.executor_plugins_map["taskgroup"] is TaskGroupExecutor
    assert ct.executor.TaskGroupExecutor is TaskGroupExecutor
    assert TaskGroupExecutor.__module__ == module.__name__
    assert TaskGroupExecutor().short_name() == "taskgroup"


def test_covalent_makes_one_of_the_section_of_its_configuration():
    assert get_config("executors.taskgroup") == DEFAULTS
    made = _executor_manager.get_executor("taskgroup")
    assert made.to_dict() == TaskGroupExecutor().to_dict()


def test_every_default_is_an_argument_with_that_value():
    for name, value in module._EXECUTOR_PLUGIN_DEFAULTS.items():
        assert value is not None
        assert getattr(TaskGroupExecutor(**{name: value}), name) == value


def test_it_is_of_the_managed_kind():
    assert issubclass(TaskGroupExecutor, AsyncBaseExecutor)
    assert TaskGroupExecutor.SUPPORTS_MANAGED_EXECUTION is True


def test_the_attributes_of_the_base_class():
    executor = TaskGroupExecutor(log_stdout="o", log_stderr="e", cache_dir="/c", time_limit=60, retries=2)
    options = executor_options(executor.__dict__)
    assert [options[n] for n in ("log_stdout", "log_stderr", "cache_dir", "time_limit", "retries")] == [
        "o",
        "e",
        "/c",
        60,
        2,
    ]


def test_the_identity_that_workflows_store():
    stored = TaskGroupExecutor(image="i").to_dict()
    # executor/options.go has the same two.
    assert stored["type"] == "<class 'covalent_taskgroup_plugin.taskgroup.TaskGroupExecutor'>"
    assert stored["short_name"] == "taskgroup"


def test_round_trip_through_the_dispatcher_while_running():
    executor = TaskGroupExecutor(image="i", env={"A": "b"}, pod={"nodeSelector": {"disk": "ssd"}}, retries=1)

    async def rebuilt():
        executor._init_runtime()
        stored = json.loads(json.dumps(executor.to_dict()))
        return get_executor(0, ["taskgroup", stored], asyncio.get_running_loop(), None)

    again = asyncio.run(rebuilt())
    assert again.to_dict() == executor.to_dict()
    assert executor_options(again.__dict__) == executor_options(executor.__dict__)


def test_from_dict_of_other_releases():
    old = TaskGroupExecutor().to_dict()
    del old["attributes"]["python_images"]
    old["attributes"]["of_a_newer_one"] = 1
    again = TaskGroupExecutor().from_dict(old)
    assert again.python_images == {}
    assert "of_a_newer_one" not in again.to_dict()["attributes"]
    assert TaskGroupExecutor(image="i").from_dict({}).image == "i"


def test_executors_share_nothing():
    env = {"A": "1"}
    one = TaskGroupExecutor(env=env)
    env["A"] = "2"
    TaskGroupExecutor().env["B"] = "3"
    assert one.env == {"A": "1"}
    assert TaskGroupExecutor().env == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"imgae": "x"}, 'no argument "imgae", did you mean "image"'),
        ({"nodeSelector": {}}, 'no argument "nodeSelector", did you mean "node_selector"'),
        ({"affinity": {}}, 'no argument "affinity": use pod={"affinity": ...}'),
        ({"flushSeconds": 1}, 'no argument "flushSeconds": use runner={"flushSeconds": ...}'),
        ({"xyz": 1}, 'no argument "xyz"; the arguments are log_stdout, '),
        ({"retries": True}, "must be a whole number"),
        ({"image": 1}, "image is 1: it must be a string"),
        ({"pod": {"a": object()}}, "pod must be JSON"),
    ],
)
def test_arguments_that_are_refused(arguments, words):
    with pytest.raises(TypeError, match=words):
        TaskGroupExecutor(**arguments)


def test_covalent_deploy_has_nothing_to_deploy():
    for command in (["up", "taskgroup"], ["down", "taskgroup"]):
        told = CliRunner().invoke(cli, ["deploy", *command])
        assert "'taskgroup' is not a valid executor for deployment" in told.output, told


def test_the_pod():
    executor = TaskGroupExecutor(
        image="i",
        cpu="500m",
        memory="1Gi",
        gpu=2,
        env={"A": "1"},
        pod={"image": "other", "env": [{"name": "A", "value": "0"}, {"name": "B"}]},
    )
    assert executor_options(executor.__dict__)["pod"] == {
        "image": "i",
        "env": [{"name": "A", "value": "1"}, {"name": "B"}],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "2"}},
    }
    assert executor.pod["image"] == "other"


def test_what_is_not_said_is_not_sent():
    assert set(executor_options(DEFAULTS)) == {
        "log_stdout", "log_stderr", "cache_dir", "time_limit", "retries", "ttl_seconds_after_finished"
    }  # fmt: skip


def test_validate_status():
    executor = TaskGroupExecutor()
    assert all(executor.validate_status(s) for s in (RESULT_STATUS.RUNNING, RESULT_STATUS.CANCELLED, "COMPLETED"))
    assert not executor.validate_status(Status("DISPATCHING_SUBLATTICE_IN_PARTS"))


def test_upload_uris():
    executor = TaskGroupExecutor(assets="file:///shared/")
    group = {"dispatch_id": "d", "task_group_id": 3, "node_ids": [3]}
    uri = executor.get_upload_uri(group, "function-3")
    assert uri == "taskgroup://upload/d/3/function-3"
    assert guess_transfer_strategy(File("/here"), File(uri)) is objects.Strategy


@pytest.mark.parametrize("case", json.loads((CONTRACT / "local_paths.json").read_text()), ids=lambda case: case["uri"])
def test_local_paths_mean_what_they_mean_in_go(case):
    assert here(case["uri"], case["local_paths"]) == case["here"]


def test_every_attribute_of_the_bridge_has_its_argument():
    theirs = json.loads((CONTRACT / "attributes.json").read_text()).keys()
    assert theirs <= DEFAULTS.keys()
    # The other arguments are short forms of fields of pod and runner, except one of the plugin's own.
    short = {name: SHORT[name] for name in DEFAULTS.keys() - theirs - {"download_limit"}}
    options = executor_options({**DEFAULTS, **short})
    assert options.keys() - executor_options(DEFAULTS).keys() == {"pod", "runner"}
    for name, value in short.items():
        alone = executor_options({**DEFAULTS, "gpu": 1, name: value})
        assert alone != executor_options({**DEFAULTS, "gpu": 1, name: DEFAULTS[name]}), name
