"""cancel as covalent_dispatcher/_core/runner_modules/cancel.py calls it."""

import asyncio

import pytest
from covalent_taskgroup_plugin import taskgroup
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import SENT, error


@pytest.mark.parametrize(
    ("answer", "accepted"), [({"cancelled": True}, True), ({"cancelled": False}, False), (error("Forbidden"), False)]
)
def test_cancel_is_true_only_when_the_cluster_has_taken_it(play, monkeypatch, answer, accepted):
    monkeypatch.setattr(taskgroup, "CANCEL_SECONDS", 0)

    async def story(fake):
        fake.answers["/v1/cancel"] = answer
        task = {"dispatch_id": "d", "node_id": 9}
        # N identical calls at once, and None for those that never started.
        told = await asyncio.gather(*(TaskGroupExecutor()._cancel(task, h) for h in (SENT, SENT, None)))
        assert told == [accepted] * 3
        assert [b["job_handle"] for b in fake.bodies("/v1/cancel")].count(None) == 1

    play(story)


def test_cancel_outlasts_an_api_server_that_is_away(play):
    async def story(fake):
        fake.answers["/v1/cancel"] = [error("Unavailable", retry=True)] * 2 + [{"cancelled": True}]
        assert await TaskGroupExecutor()._cancel({"dispatch_id": "d", "node_id": 3}, SENT) is True

    play(story)


def test_cancel_reaches_the_cluster_though_the_event_loop_ends(play):
    async def story(fake):
        asked = asyncio.Event()

        async def never(_):
            asked.set()
            await asyncio.Event().wait()

        fake.answers["/v1/cancel"] = [never, {"cancelled": True}]
        task = asyncio.create_task(TaskGroupExecutor()._cancel({"dispatch_id": "d", "node_id": 3}, SENT))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [body["job_handle"] for body in fake.bodies("/v1/cancel")] == [SENT, SENT]

    play(story)
