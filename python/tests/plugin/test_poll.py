"""poll and receive as covalent_dispatcher/_core/runner_ng.py calls them."""

import asyncio

import pytest
from covalent._shared_files.config import _config_manager
from covalent._shared_files.exceptions import TaskCancelledError
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent_taskgroup_plugin import poller, taskgroup
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor
from fake import GROUP, OUTCOME, SENT, error
from stored import reference

UPDATE = {
    "dispatch_id": "d",
    "node_id": 3,
    "status": {"STATUS": "FAILED"},
    "assets": {
        "error": {"remote_uri": "file:///e", "size": 4},
        "stdout": {"remote_uri": "s3://b/o", "size": 0, "digest_alg": "sha256", "digest": "x"},
    },
}


def test_poll_waits_and_answers_what_receive_takes(play):
    async def story(fake):
        fake.answers["/v1/poll"] = [{"results": []}, {"results": []}, {"results": [OUTCOME]}]
        executor = TaskGroupExecutor(context="prod", namespace="other")
        assert await executor.poll(GROUP, SENT) == OUTCOME
        assert len(fake.requests) == 3
        # The handle says where the group is.
        assert fake.bodies("/v1/poll")[0]["executor"] == {"kubeconfig": "", "context": "prod", "namespace": "team"}

    play(story)


def test_poll_says_where_the_results_of_its_group_are(play):
    async def story(fake):
        fake.answers["/v1/poll"] = {"results": [OUTCOME]}
        executor = TaskGroupExecutor(assets="s3://b/a", infrastructure_retries=5, cancel_on_stop=True)
        await executor.poll(GROUP, SENT)
        await executor.replace(execution="Parallel").poll(GROUP, SENT)
        with_results, parallel = [body["handles"] for body in fake.bodies("/v1/poll")]
        where = {"assets": "s3://b/a", "retries": 0, "infrastructure_retries": 5}
        assert with_results == [{**SENT, "cancel_on_stop": True, "executor": where}]
        assert parallel == [{**SENT, "cancel_on_stop": True}]

    play(story)


def test_groups_are_waited_for_together_and_the_loop_stays_free(play):
    async def story(fake):
        handles = [{"namespace": "team", "name": f"tg-{n}", "uid": str(n)} for n in range(500)]
        end = asyncio.Event()

        async def answer(request):
            await end.wait()
            return {"results": [{"handle": h, "reason": "Completed"} for h in request["handles"]]}

        fake.answers["/v1/poll"] = answer
        polls = [asyncio.create_task(TaskGroupExecutor().poll(GROUP, h)) for h in handles]
        while not fake.requests:
            await asyncio.sleep(0)
        end.set()
        assert [o["handle"] for o in await asyncio.gather(*polls)] == handles
        assert len(fake.requests) == 1

    play(story)


def test_a_new_group_joins_a_poll_that_goes_on(play):
    async def story(fake):
        asked = asyncio.Queue()

        async def answer(request):
            await asked.put(len(request["handles"]))
            if len(request["handles"]) == 1:
                await asyncio.Event().wait()
            return {"results": [{"handle": h} for h in request["handles"]]}

        fake.answers["/v1/poll"] = answer
        first = asyncio.create_task(TaskGroupExecutor().poll(GROUP, SENT))
        assert await asked.get() == 1
        second = asyncio.create_task(TaskGroupExecutor().poll(GROUP, {**SENT, "name": "tg-2"}))
        assert await asked.get() == 2
        await asyncio.gather(first, second)

    play(story)


def test_more_groups_than_a_poll_may_have(play, monkeypatch):
    monkeypatch.setattr(poller, "MAX_HANDLES", 3)

    async def story(fake):
        finished = {f"tg-{n}": asyncio.Event() for n in range(10)}
        sizes = []

        async def answer(request):
            names = [handle["name"] for handle in request["handles"]]
            sizes.append(len(names))
            waits = [asyncio.create_task(finished[name].wait()) for name in names]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            return {"results": [{"handle": h} for h in request["handles"] if finished[h["name"]].is_set()]}

        fake.answers["/v1/poll"] = answer
        polls = {
            name: asyncio.create_task(TaskGroupExecutor().poll(GROUP, {**SENT, "name": name})) for name in finished
        }
        # The newest groups finish first, while all older ones wait.
        for name in reversed(finished):
            finished[name].set()
            assert (await asyncio.wait_for(polls[name], 20))["handle"]["name"] == name
        assert max(sizes) == 3

    play(story)


def test_new_groups_do_not_send_the_handles_of_all_others_again(play):
    async def story(fake):
        asked = asyncio.Queue()

        async def answer(request):
            await asked.put(len(request["handles"]))
            await asyncio.Event().wait()

        fake.answers["/v1/poll"] = answer

        def poll(n):
            return asyncio.create_task(TaskGroupExecutor().poll(GROUP, {**SENT, "name": f"tg-{n}"}))

        polls = [poll(n) for n in range(100)]
        assert await asked.get() == 100
        sent = 0
        for n in range(100, 120):
            polls.append(poll(n))
            sent += await asked.get()
        # 20 new groups, each of them sent a few times at most.
        assert 20 < sent <= 20 * 6
        for task in polls:
            task.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    play(story)


def test_poll_of_a_cancelled_group_and_of_one_that_cannot_be_waited_for(play):
    async def story(fake):
        other = {**SENT, "name": "tg-2"}
        cancelled = {"handle": SENT, "error": error("Cancelled")[1]["error"]}
        invalid = {"handle": other, "error": error("Invalid", "no such thing")[1]["error"]}
        fake.answers["/v1/poll"] = {"results": [cancelled, invalid]}
        one, two = await asyncio.gather(
            TaskGroupExecutor().poll(GROUP, SENT), TaskGroupExecutor().poll(GROUP, other), return_exceptions=True
        )
        assert isinstance(one, TaskCancelledError)
        assert isinstance(two, BridgeError)
        assert str(two) == "no such thing"

    play(story)


CODES = [
    "Unavailable",
    "Configuration",
    "Unauthorized",
    "Forbidden",
    "NotInstalled",
    "Namespace",
    "Internal",
    "OfTomorrow",
]


def test_only_the_result_of_the_group_ends_a_poll(play, caplog):
    async def story(fake):
        problems = [error(code, f"because of {code}", retry=code == "Unavailable") for code in CODES]
        warned = {"results": [], "warning": "the token has expired"}
        fake.answers["/v1/poll"] = [*problems * 2, *[ConnectionError()] * 20, warned, {"results": [OUTCOME]}]
        assert await TaskGroupExecutor().poll(GROUP, SENT) == OUTCOME

    play(story)
    for code in CODES:
        # Once a minute, however often it is retried.
        assert caplog.text.count(f"because of {code};") == 1
    assert "cannot be reached" in caplog.text
    assert "the token has expired" in caplog.text


def test_cancel_on_stop_is_in_each_poll(play):
    async def story(fake):
        other = {**SENT, "name": "tg-2"}
        fake.answers["/v1/poll"] = {"results": [OUTCOME, {**OUTCOME, "handle": other}]}
        polls = [TaskGroupExecutor(cancel_on_stop=True).poll(GROUP, SENT), TaskGroupExecutor().poll(GROUP, other)]
        assert [outcome["handle"] for outcome in await asyncio.gather(*polls)] == [SENT, other]
        (body,) = fake.bodies("/v1/poll")
        assert body["handles"] == [{**SENT, "cancel_on_stop": True}, other]

    play(story)


@pytest.mark.parametrize("answer", [error("Invalid", "refused"), {"surprise": 1}], ids=["refused", "nonsense"])
def test_a_poll_that_is_refused_is_retried_for_a_while(play, monkeypatch, answer):
    async def story(fake):
        fake.answers["/v1/poll"] = [answer, answer, {"results": [OUTCOME]}]
        assert await TaskGroupExecutor().poll(GROUP, SENT) == OUTCOME
        monkeypatch.setattr(poller, "REFUSED_SECONDS", 0)
        fake.answers["/v1/poll"] = answer
        with pytest.raises((BridgeError, KeyError)):
            await TaskGroupExecutor().poll(GROUP, SENT)

    play(story)


def test_push_mode_is_not_polled(play):
    async def story(fake):
        with pytest.raises(NotImplementedError):
            await TaskGroupExecutor(callback="http://127.0.0.1:48008").poll(GROUP, SENT)
        assert fake.requests == []

    play(story)


def test_receive_gives_covalents_own_shapes(play):
    async def story(fake):
        fake.answers["/v1/receive"] = [error("ManifestUnavailable", retry=True), {"task_updates": [UPDATE]}]
        # A new instance without a proxy: nothing may be asked of the dispatcher.
        (update,) = await TaskGroupExecutor().receive(GROUP, OUTCOME)
        assert update.status is not RESULT_STATUS.FAILED
        assert update.status == RESULT_STATUS.FAILED
        assert RESULT_STATUS.is_terminal(update.status)
        assert (update.dispatch_id, update.node_id) == ("d", 3)
        assert reference(update.assets["error"].remote_uri).uri == "file:///e"
        assert reference(update.assets["stdout"].remote_uri).sha256 == "x"
        assert update.assets["stdout"].digest_alg == "sha256"
        assert fake.bodies("/v1/receive")[1] == {
            "executor": fake.bodies("/v1/receive")[0]["executor"],
            "task_group_metadata": GROUP,
            "data": OUTCOME,
        }

    play(story)


def test_receive_outlasts_a_store_that_fails(play, caplog):
    async def story(fake):
        failures = [error(code, retry=retry) for code, retry in (("ManifestUnavailable", True), ("Forbidden", False))]
        fake.answers["/v1/receive"] = [*failures * 10, {"task_updates": [UPDATE], "warnings": ["the log is full"]}]
        assert len(await TaskGroupExecutor().receive(GROUP, OUTCOME)) == 1

    play(story)
    assert "the log is full" in caplog.text


def test_receive_waits_for_a_group_that_has_not_finished(play, monkeypatch):
    monkeypatch.setattr(taskgroup, "RECEIVE_SECONDS", 0)

    async def story(fake):
        fake.answers["/v1/receive"] = [error("NotFinished", retry=True)] * 5 + [{"task_updates": [UPDATE]}]
        assert len(await TaskGroupExecutor().receive(GROUP, OUTCOME)) == 1
        fake.answers["/v1/receive"] = error("ManifestInvalid", "forged")
        with pytest.raises(BridgeError, match="forged"):
            await TaskGroupExecutor().receive(GROUP, OUTCOME)

    play(story)


def test_receive_has_logs_below_results_dir(play, monkeypatch, tmp_path):
    monkeypatch.setitem(_config_manager.config_data["dispatcher"], "results_dir", str(tmp_path))

    async def story(fake):
        fake.answers["/v1/receive"] = [{"task_updates": []}] * 2
        await TaskGroupExecutor(log_stdout="logs/out", log_stderr="/var/err").receive(GROUP, OUTCOME)
        await TaskGroupExecutor(log_stdout="~/out").receive(GROUP, OUTCOME)
        logs = [
            [body["executor"][name] for name in ("log_stdout", "log_stderr")] for body in fake.bodies("/v1/receive")
        ]
        assert logs == [[f"{tmp_path}/{GROUP['dispatch_id']}/logs/out", "/var/err"], ["~/out", ""]]

    play(story)


def test_receive_after_a_cancellation_asks_nobody(play):
    async def story(fake):
        updates = await TaskGroupExecutor(kubeconfig="/none").receive({**GROUP, "node_ids": [3, 4]}, None)
        assert [(u.node_id, str(u.status), u.assets) for u in updates] == [(3, "CANCELLED", {}), (4, "CANCELLED", {})]
        assert fake.requests == []

    play(story)
