"""The transfers of send and receive: what runs at the same time."""

import asyncio

import pytest
from covalent_taskgroup_plugin import transfers
from covalent_taskgroup_plugin.errors import BridgeError


@pytest.mark.parametrize("failing", ["first", "second", "caller"])
def test_both_run_at_the_same_time_and_end_together(failing):
    ended = []

    async def step(name, other, own):
        try:
            own.set()
            await other.wait()  # A deadlock if one ran after the other.
            if name == failing:
                raise BridgeError("refused")
            if failing:
                await asyncio.Event().wait()
            return name
        finally:
            ended.append(name)

    async def run():
        events = asyncio.Event(), asyncio.Event()
        task = asyncio.ensure_future(
            transfers.both(step("first", events[1], events[0]), step("second", events[0], events[1]))
        )
        if failing == "caller":
            await events[1].wait()
            task.cancel()
        return await task

    with pytest.raises(asyncio.CancelledError if failing == "caller" else BridgeError):
        asyncio.run(asyncio.wait_for(run(), 30))
    assert sorted(ended) == ["first", "second"]


def test_both_return_both_results():
    async def give(value):
        return value

    async def run():
        return await transfers.both(give(1), give("two"))

    assert asyncio.run(run()) == (1, "two")
