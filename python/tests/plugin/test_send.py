"""send: the order of handle, cancellation and creation, and the shapes of what is sent."""

import asyncio

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from covalent.executor.schemas import ResourceMap, TaskSpec
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import GROUP, HANDLE, SENT, Dispatcher, error

SPECS = [TaskSpec(electron_id=3, args=[0, 1], kwargs={"k": 2})]
RESOURCES = ResourceMap(functions={3: "f"}, inputs={0: "a", 1: "b", 2: "c"}, hooks={3: "h"})


def sending(executor, cancel=(False,)):
    async def send():
        async with Dispatcher(executor, cancel) as dispatcher:
            return await executor.send(SPECS, RESOURCES, GROUP), dispatcher

    return send()


def test_the_handle_is_kept_before_the_group_is_created(play):
    async def story(fake):
        executor = TaskGroupExecutor()
        async with Dispatcher(executor) as dispatcher:

            async def create(_):
                assert dispatcher.handles == [HANDLE]
                return {"handle": SENT}

            fake.answers["/v1/send"] = create
            assert await executor.send(SPECS, RESOURCES, GROUP) == SENT
        assert fake.paths == ["/v1/handle", "/v1/send"]

    play(story)


def test_the_shapes(play):
    async def story(fake):
        await sending(TaskGroupExecutor(image="i", namespace="team"))
        (sent,) = fake.bodies("/v1/send")
        assert sent["task_specs"] == [{"electron_id": 3, "args": [0, 1], "kwargs": {"k": 2}}]
        assert sent["resources"] == {
            "functions": {"3": "f"},
            "inputs": {"0": "a", "1": "b", "2": "c"},
            "hooks": {"3": "h"},
        }
        assert sent["task_group_metadata"] == GROUP
        assert sent["executor"]["namespace"] == "team"
        assert sent["executor"]["pod"] == {"image": "i"}
        assert "version_info" not in sent

    play(story)


def test_the_version_picks_the_image(play):
    async def story(fake):
        await sending(TaskGroupExecutor(python_images={"3.11": "i"}))
        assert fake.bodies("/v1/send")[0]["version_info"] == {"python": "3.11.2", "covalent": "0.240.0"}

    play(story)


@pytest.mark.parametrize("cancel", [[True], [False, True]], ids=["before the handle", "right before creation"])
def test_a_cancelled_group_is_not_created(play, cancel):
    async def story(fake):
        with pytest.raises(TaskCancelledError):
            await sending(TaskGroupExecutor(), cancel)
        assert "/v1/send" not in fake.paths

    play(story)


def test_a_cancellation_during_creation_reaches_the_group(play):
    async def story(fake):
        handle, _ = await sending(TaskGroupExecutor(), [False, False, True])
        assert handle == SENT
        (cancelled,) = fake.bodies("/v1/cancel")
        assert cancelled["job_handle"] == SENT

    play(story)


def test_a_dispatcher_that_fails_after_creation_loses_no_group(play):
    async def story(_):
        handle, _ = await sending(TaskGroupExecutor(), [False, False, RuntimeError()])
        assert handle == SENT

    play(story)


def test_a_dispatcher_that_does_not_keep_the_handle_has_no_group(play):
    async def story(fake):
        executor = TaskGroupExecutor()
        executor._init_runtime()

        async def refuse():
            await executor._send_queue.get()
            executor._recv_queue.put_nowait((True, False))
            await executor._send_queue.get()
            executor._recv_queue.put_nowait((False, None))

        answering = asyncio.create_task(refuse())
        with pytest.raises(RuntimeError, match="Error waiting for response"):
            await executor.send(SPECS, RESOURCES, GROUP)
        await answering
        assert "/v1/send" not in fake.paths

    play(story)


def test_an_error_says_what_it_is(play):
    async def story(fake):
        fake.answers["/v1/send"] = error("Forbidden", "creating TaskGroup: quota is full", status=403)
        with pytest.raises(BridgeError, match="quota is full") as raised:
            await sending(TaskGroupExecutor())
        assert raised.value.code == "Forbidden"
        assert len(fake.bodies("/v1/send")) == 1

    play(story)


def test_a_bridge_that_dies_is_asked_again(play):
    async def story(fake):
        fake.answers["/v1/send"] = [ConnectionError(), {"handle": SENT}]
        assert (await sending(TaskGroupExecutor()))[0] == SENT
        assert len(fake.bodies("/v1/send")) == 2

    play(story)


def test_an_api_server_that_is_away_was_waited_for_by_the_bridge(play):
    async def story(fake):
        fake.answers["/v1/send"] = error("Unavailable", "nobody answers", retry=True, status=503)
        with pytest.raises(BridgeError, match="nobody answers"):
            await sending(TaskGroupExecutor())
        assert len(fake.bodies("/v1/send")) == 1

    play(story)


def test_a_code_of_a_newer_bridge_is_an_error_like_others(play):
    async def story(fake):
        fake.answers["/v1/send"] = error("OfTomorrow", "words of tomorrow")
        with pytest.raises(BridgeError, match="words of tomorrow"):
            await sending(TaskGroupExecutor())

    play(story)


def test_a_bridge_of_another_protocol(play):
    async def story(fake):
        fake.protocol = "2"
        with pytest.raises(
            BridgeError, match="speaks protocol 2, this plugin 1: install releases that belong together"
        ):
            await sending(TaskGroupExecutor())

    play(story)
