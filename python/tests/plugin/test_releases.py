"""covalent.conf and stored executors of other releases."""

import asyncio
import json

import pytest
from covalent._shared_files import config
from covalent.executor.schemas import ResourceMap, TaskSpec
from covalent_dispatcher._core.runner_modules.utils import get_executor
from covalent_taskgroup_plugin import section
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.options import DEFAULTS, executor_options
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import GROUP, SENT, Dispatcher, error

NODE = {"dispatch_id": "d", "node_id": 3}


@pytest.fixture
def configure():
    """Change the section of covalent.conf, as another release or an editor does."""

    def change(**keys):
        config.set_config({f"executors.taskgroup.{name}": value for name, value in keys.items()})

    section._warn.cache_clear()
    yield change
    written = config._config_manager.config_data["executors"]["taskgroup"]
    written.clear()
    written.update(DEFAULTS)
    config._config_manager.write_config()


@pytest.fixture
def warned(monkeypatch):
    texts = []
    monkeypatch.setattr(section.logger.app_log, "warning", texts.append)
    return texts


def as_the_dispatcher_makes_it(stored=None):
    async def make():
        return get_executor(3, ["taskgroup", json.loads(json.dumps(stored))], asyncio.get_running_loop(), None)

    return asyncio.run(make())


def test_an_unknown_key_of_covalent_conf_is_reported_once(configure, warned, play):
    configure(of_a_newer_release=1, image="from-the-section")
    stored = TaskGroupExecutor(image="i").to_dict()
    assert as_the_dispatcher_makes_it(stored).to_dict() == stored
    assert as_the_dispatcher_makes_it({}).image == "from-the-section"
    assert len(warned) == 1
    assert "executors.taskgroup" in warned[0]
    assert "of_a_newer_release" in warned[0]

    async def story(_):
        executor = get_executor(3, ["taskgroup", stored], asyncio.get_running_loop(), None)
        assert await executor.cancel(NODE, SENT) is True

    play(story)


def test_an_unknown_argument_is_refused_whatever_covalent_conf_has(configure):
    configure(of_a_newer_release=1)
    with pytest.raises(TypeError, match="of_a_newer_release"):
        TaskGroupExecutor(image="i", of_a_newer_release=1)
    with pytest.raises(TypeError, match="of_a_newer_release"):
        TaskGroupExecutor(of_a_newer_release=1, image="i", memory="1 GB")


@pytest.mark.parametrize(
    ("keys", "attribute"),
    [({"time_limit": 600.0}, ("time_limit", 600)), ({"memory": "4 GB"}, ("memory", "4G")), ({"gpu": "1"}, ("gpu", 1))],
    ids=str,
)
def test_natural_values_in_covalent_conf(configure, warned, keys, attribute):
    configure(**keys)
    assert getattr(as_the_dispatcher_makes_it(), attribute[0]) == attribute[1]
    assert warned == []


@pytest.mark.parametrize(
    "keys",
    [
        {"retries": "many"},
        {"pod": {"tollerations": []}},
        {"pod": "none"},
        {"volumes": {"/a": "b:c:d"}},
        {"assets": "mine://b"},
    ],
    ids=str,
)
def test_a_wrong_value_in_covalent_conf_breaks_no_running_group(configure, warned, play, keys):
    stored = TaskGroupExecutor(image="i").to_dict()
    configure(**keys)
    assert as_the_dispatcher_makes_it(stored).to_dict() == stored
    assert next(iter(keys)) in warned[0]

    async def story(fake):
        executor = get_executor(3, ["taskgroup", {}], asyncio.get_running_loop(), None)
        assert await executor.cancel(NODE, SENT) is True
        fake.answers["/v1/receive"] = {"task_updates": []}
        assert await executor.receive(GROUP, {}) == []

    play(story)


@pytest.mark.parametrize("keys", [{"pod": {"tollerations": []}}, {"retries": "many"}], ids=str)
def test_a_wrong_value_in_covalent_conf_is_refused_when_a_group_is_sent(configure, warned, keys):
    configure(**keys)
    executor = as_the_dispatcher_makes_it({})
    with pytest.raises((TypeError, ValueError), match=r"tollerations|retries is 'many'"):
        executor_options(executor.__dict__)
    assert len(warned) == 1


def test_an_older_section_without_newer_keys(configure, warned):
    del config._config_manager.config_data["executors"]["taskgroup"]["queue"]
    config._config_manager.write_config()
    assert as_the_dispatcher_makes_it().queue == ""
    assert warned == []


def test_a_stored_executor_of_a_newer_release(configure, warned, play):
    stored = TaskGroupExecutor(image="i").to_dict()
    stored["attributes"].update(new_and_set="a", new_and_unset="", pod={"newField": {}}, volumes={"/a": "new:form:of"})
    for _ in range(2):
        executor = as_the_dispatcher_makes_it(stored)
    assert executor.image == "i"
    assert warned == ["an executor of another release has new_and_set, which this release of the plugin ignores"]

    async def story(fake):
        executor = get_executor(3, ["taskgroup", stored], asyncio.get_running_loop(), None)
        fake.answers["/v1/receive"] = {"task_updates": []}
        assert await executor.receive(GROUP, {}) == []
        assert await executor.cancel(NODE, SENT) is True
        assert all("pod" not in body["executor"] for _, body in fake.requests)

    play(story)


def test_a_stored_executor_of_an_older_release():
    """The attributes of the first release, which had no other short forms."""
    stored = TaskGroupExecutor(image="i", cpu="500m", gpu=1, env={"A": "b"}).to_dict()
    short = ("queue", "labels", "annotations", "volumes", "secrets", "tolerations", "python", "gpu_resource", "disk")
    for name in short:
        del stored["attributes"][name]
    pod = executor_options(as_the_dispatcher_makes_it(stored).__dict__)["pod"]
    assert pod["resources"] == {"requests": {"cpu": "500m"}, "limits": {"nvidia.com/gpu": "1"}}


def test_requests_that_create_a_group_have_the_pod(play):
    async def story(fake):
        executor = TaskGroupExecutor(assets="/srv", image="i", python="python3.12")
        fake.answers["/v1/run"] = error("Invalid")
        with pytest.raises(BridgeError):
            await executor.run(print, [], {}, NODE)
        async with Dispatcher(executor):
            await executor.send(
                [TaskSpec(electron_id=3, args=[], kwargs={})], ResourceMap(functions={}, inputs={}, hooks={}), GROUP
            )
        for path in ("/v1/run", "/v1/handle", "/v1/send"):
            (body,) = fake.bodies(path)
            assert body["executor"]["pod"] == {"image": "i"}
            assert body["executor"]["runner"] == {"python": "python3.12"}

    play(story)
