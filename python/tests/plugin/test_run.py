"""run: one function in memory, with and without a dispatcher."""

import base64

import pytest
from covalent._shared_files.exceptions import TaskRuntimeError
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent._workflow.transportable_object import TransportableObject
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import HANDLE, Dispatcher, error

TASK = {"dispatch_id": "d", "node_id": 5}


def load(encoded):
    return TransportableObject.deserialize(base64.b64decode(encoded)).get_deserialized()


async def pod(request):
    """Do what the runner does with a call."""
    call = request["call"]
    value = load(call["function"])(*map(load, call["args"]), **{n: load(v) for n, v in call["kwargs"].items()})
    return {"result": base64.b64encode(TransportableObject(value).serialize()).decode()}


def test_run_returns_what_the_function_does(play):
    async def story(fake):
        fake.answers["/v1/run"] = pod
        executor = TaskGroupExecutor(python_images={"3.11": "i"})
        await executor.setup(TASK)
        assert await executor.run(lambda a, b: {"sum": a + b}, [2], {"b": 3}, TASK) == {"sum": 5}
        await executor.teardown(TASK)
        (request,) = fake.bodies("/v1/run")
        assert request["task_metadata"] == TASK
        assert set(request["version_info"]) == {"python", "covalent"}

    play(story)


def test_run_of_the_dispatchers_legacy_path_keeps_its_wrappers(play):
    async def story(fake):
        fake.answers["/v1/run"] = pod
        result = await TaskGroupExecutor().run(
            lambda a: TransportableObject(a.get_deserialized() + 1), [TransportableObject(1)], {}, TASK
        )
        assert result.get_deserialized() == 2

    play(story)


def test_execute_keeps_the_handle_and_tells_a_failure_in_words(play):
    async def story(fake):
        fake.answers["/v1/run"] = error("TaskFailed", "ValueError: no", status=422)
        executor = TaskGroupExecutor()
        async with Dispatcher(executor) as dispatcher:
            result, _, stderr, status = await executor.execute(print, [], {}, "d", "/results", 5)
            assert dispatcher.handles == [HANDLE]
        assert (result, stderr, status) == (None, "ValueError: no\n", RESULT_STATUS.FAILED)
        with pytest.raises(TaskRuntimeError, match="ValueError: no"):
            await TaskGroupExecutor().run(print, [], {}, TASK)

    play(story)


@pytest.mark.parametrize("before", [True, False])
def test_execute_of_a_cancelled_task(play, before):
    async def story(fake):
        fake.answers["/v1/run"] = error("Cancelled", status=410)
        executor = TaskGroupExecutor()
        async with Dispatcher(executor, [before]):
            assert (await executor.execute(print, [], {}, "d", "/results", 5))[3] == RESULT_STATUS.CANCELLED
        assert ("/v1/run" in fake.paths) is not before

    play(story)


def test_run_goes_on_when_the_bridge_dies(play):
    async def story(fake):
        fake.answers["/v1/run"] = [ConnectionError(), ConnectionError(), pod]
        assert await TaskGroupExecutor().run(lambda: 1, [], {}, TASK) == 1

    play(story)
