"""send: the order of handle, cancellation and creation, and the shapes of what is sent."""

import asyncio
import inspect
from functools import partial

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from covalent.executor.schemas import ResourceMap, TaskSpec
from covalent_taskgroup_plugin import bridge, taskgroup
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
        executor = TaskGroupExecutor(assets="/srv")
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
        await sending(TaskGroupExecutor(assets="/srv", image="i", namespace="team"))
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
        await sending(TaskGroupExecutor(assets="/srv", python_images={"3.11": "i"}))
        assert fake.bodies("/v1/send")[0]["version_info"] == {"python": "3.11.2", "covalent": "0.240.0"}

    play(story)


def test_a_cancelled_group_is_not_created(play):
    async def story(fake):
        with pytest.raises(TaskCancelledError):
            await sending(TaskGroupExecutor(assets="/srv"), [True])
        assert "/v1/send" not in fake.paths

    play(story)


def test_a_cancellation_during_creation_reaches_the_group(play):
    async def story(fake):
        handle, _ = await sending(TaskGroupExecutor(assets="/srv"), [False, True])
        assert handle == SENT
        (cancelled,) = fake.bodies("/v1/cancel")
        assert cancelled["job_handle"] == SENT

    play(story)


def test_a_dispatcher_that_fails_after_creation_loses_no_group(play):
    async def story(_):
        handle, _ = await sending(TaskGroupExecutor(assets="/srv"), [False, RuntimeError()])
        assert handle == SENT

    play(story)


def test_a_dispatcher_that_does_not_keep_the_handle_has_no_group(play):
    async def story(fake):
        executor = TaskGroupExecutor(assets="/srv")
        executor._init_runtime()

        async def refuse():
            await executor._send_queue.get()
            executor._recv_queue.put_nowait((False, None))

        answering = asyncio.create_task(refuse())
        with pytest.raises(RuntimeError, match="Error waiting for response"):
            await executor.send(SPECS, RESOURCES, GROUP)
        await answering
        assert "/v1/send" not in fake.paths

    play(story)


def test_a_send_makes_three_requests_to_the_dispatcher(play):
    async def story(_):
        _, dispatcher = await sending(TaskGroupExecutor(assets="/srv"))
        assert [body if isinstance(body, str) else body[0] for _, body in dispatcher.events] == [
            "job_handle",
            "cancel_requested",
            "cancel_requested",
        ]

    play(story)


def test_a_dispatcher_that_does_not_respond_is_named(play, monkeypatch):
    async def story(fake):
        executor = TaskGroupExecutor(assets="/srv")
        executor._init_runtime()
        monkeypatch.setattr(executor, "_wait_for_response", partial(executor._wait_for_response, timeout=0))
        with pytest.raises(BridgeError, match="dispatcher did not respond within 0 s"):
            await executor.send(SPECS, RESOURCES, GROUP)
        assert "/v1/send" not in fake.paths

    play(story)


def test_a_dispatcher_may_take_longer_than_covalent_waits():
    assert inspect.signature(TaskGroupExecutor._wait_for_response).parameters["timeout"].default >= 60


def test_an_error_says_what_it_is(play):
    async def story(fake):
        fake.answers["/v1/send"] = error("Forbidden", "creating TaskGroup: quota is full", status=403)
        with pytest.raises(BridgeError, match="quota is full") as raised:
            await sending(TaskGroupExecutor(assets="/srv"))
        assert raised.value.code == "Forbidden"
        assert len(fake.bodies("/v1/send")) == 1

    play(story)


def test_a_bridge_that_dies_is_asked_again(play):
    async def story(fake):
        fake.answers["/v1/send"] = [ConnectionError(), {"handle": SENT}]
        assert (await sending(TaskGroupExecutor(assets="/srv")))[0] == SENT
        assert len(fake.bodies("/v1/send")) == 2

    play(story)


def test_an_api_server_that_is_unavailable_is_waited_for(play):
    async def story(fake):
        fake.answers["/v1/send"] = [error("Unavailable", "no response", retry=True, status=503)] * 9 + [
            {"handle": SENT}
        ]
        assert (await sending(TaskGroupExecutor(assets="/srv")))[0] == SENT
        assert len(fake.bodies("/v1/send")) == 10
        assert all(body["resend"] for body in fake.bodies("/v1/send"))

    play(story)


@pytest.mark.parametrize(("code", "retry"), [("Unavailable", True), ("Internal", False)])
def test_a_send_whose_result_stays_unknown_cancels_the_group(play, monkeypatch, code, retry):
    monkeypatch.setattr(taskgroup, "SEND_SECONDS", 0)

    async def story(fake):
        fake.answers["/v1/send"] = error(code, "no response", retry=retry, status=503)
        fake.answers["/v1/cancel"] = [error("Unavailable", retry=True), {"cancelled": True}]
        with pytest.raises(BridgeError, match="no response"):
            await sending(TaskGroupExecutor(assets="/srv"))
        while len(fake.bodies("/v1/cancel")) < 2:
            await asyncio.sleep(0)
        assert [body["job_handle"] for body in fake.bodies("/v1/cancel")] == [HANDLE, HANDLE]

    play(story)


@pytest.mark.parametrize("code", ["Invalid", "Conflict", "Forbidden", "NotInstalled", "Namespace"])
def test_a_send_that_was_refused_cancels_nothing(play, code):
    async def story(fake):
        fake.answers["/v1/send"] = error(code, "refused", status=403)
        with pytest.raises(BridgeError, match="refused"):
            await sending(TaskGroupExecutor(assets="/srv"))
        assert len(fake.bodies("/v1/send")) == 1
        assert not taskgroup._abandoned

    play(story)


def test_an_expired_token_and_a_kubeconfig_that_is_being_rewritten_are_waited_for(play):
    async def story(fake):
        fake.answers["/v1/handle"] = [error("Configuration"), {"handle": HANDLE}]
        fake.answers["/v1/send"] = [error("Unauthorized")] * 3 + [{"handle": SENT}]
        assert (await sending(TaskGroupExecutor(assets="/srv")))[0] == SENT

    play(story)


def test_many_sends_at_once_take_few_connections(play):
    async def story(fake):
        running, most = 0, 0

        async def create(_):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return {"handle": SENT}

        fake.answers["/v1/send"] = create
        sent = await asyncio.gather(*(sending(TaskGroupExecutor(assets="/srv")) for _ in range(400)))
        assert [handle for handle, _ in sent] == [SENT] * 400
        assert most <= bridge.CONCURRENT
        # Those of the handles, and then those of the sends: connections are reused.
        assert len(fake.connections) <= 2 * bridge.CONCURRENT

    play(story)


def test_a_code_of_a_newer_bridge_is_an_error_like_others(play):
    async def story(fake):
        fake.answers["/v1/send"] = error("OfTomorrow", "words of tomorrow")
        with pytest.raises(BridgeError, match="words of tomorrow"):
            await sending(TaskGroupExecutor(assets="/srv"))

    play(story)


def test_a_bridge_of_another_protocol(play):
    async def story(fake):
        fake.protocol = "2"
        with pytest.raises(
            BridgeError, match="speaks protocol 2, this plugin 1: install releases that belong together"
        ):
            await sending(TaskGroupExecutor(assets="/srv"))

    play(story)
