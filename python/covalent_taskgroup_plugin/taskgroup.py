"""The module that Covalent loads as the executor "taskgroup".

Covalent takes the name from this file's, stores it in every workflow and uses it as the
section of covalent.conf (covalent/executor/__init__.py): the file must keep its name.
The rules that the methods follow are those of covalent/executor/base.py and
covalent_dispatcher/_core/runner_ng.py, release 0.240.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import sys
from collections.abc import Callable
from typing import Any

from covalent._shared_files import logger
from covalent._shared_files.exceptions import TaskCancelledError, TaskRuntimeError
from covalent._shared_files.util_classes import Status
from covalent.executor.base import AsyncBaseExecutor
from covalent.executor.schemas import ResourceMap, TaskSpec, TaskUpdate

from covalent_taskgroup_plugin import bridge, calls, section
from covalent_taskgroup_plugin.options import DEFAULTS, executor_options, here
from covalent_taskgroup_plugin.poller import poller_of

EXECUTOR_PLUGIN_NAME = "TaskGroupExecutor"
_EXECUTOR_PLUGIN_DEFAULTS = copy.deepcopy(DEFAULTS)

# How often receive is tried where the bridge says that it may help; the dispatcher itself tries once.
TRIES = 3
JSON = dict[str, Any]
_STATES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")


class TaskGroupExecutor(AsyncBaseExecutor):
    """Runs task groups as TaskGroup objects in a Kubernetes cluster.

    The arguments are those of DEFAULTS in options.py, by keyword; docs/covalent.md has a line for each. Making one
    asks nobody, since the dispatcher makes many on its event loop.

    Raises:
        TypeError: an argument is unknown, of the wrong type or not JSON.
        ValueError: an argument has a value that the cluster or Covalent's server does not accept, or an unknown field.
    """

    SUPPORTS_MANAGED_EXECUTION = True
    __signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in DEFAULTS.items()]
    )

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        self.__dict__.update(section.attributes(attributes))

    def to_dict(self) -> JSON:
        """Return {"type": str, "short_name": "taskgroup", "attributes": {...}}, without the queues of a running one."""
        attributes = {name: copy.deepcopy(self.__dict__[name]) for name in DEFAULTS}
        return {"type": str(self.__class__), "short_name": self.short_name(), "attributes": attributes}  # type: ignore[no-untyped-call]

    def from_dict(self, object_dict: JSON) -> Any:
        """Replace the attributes by those that to_dict of any release returned.

        Attributes that are missing there have their defaults. Unknown ones are left out, with a warning if they are
        set.
        """
        if object_dict:
            self.__dict__ = section.stored(object_dict["attributes"])
        return self

    def get_upload_uri(self, task_group_metadata: JSON, object_key: str) -> str:
        """Return where the dispatcher puts an object before send; "" for nowhere, without assets.

        It is called on the event loop for every object and cannot wait, so it asks nobody. A dispatch has one folder,
        to be removed as a whole; the bridge's send turns local_paths back.
        """
        assets = here(self.__dict__["assets"], self.__dict__["local_paths"])
        if not assets:
            return ""
        group = f"{task_group_metadata['dispatch_id']}/{task_group_metadata['task_group_id']}"
        return f"{assets.rstrip('/')}/{group}/{object_key}"

    def validate_status(self, status: Status) -> bool:
        """Say whether a state may be recorded for a job, as executor/status.go has it."""
        return str(status) in _STATES

    async def send(self, task_specs: list[TaskSpec], resources: ResourceMap, task_group_metadata: JSON) -> Any:
        """Create the TaskGroup and return its handle, {"context", "namespace", "name", "uid"}, for poll.

        The handle is the dispatcher's before there is a TaskGroup: a failure in between leaves none that nobody can
        cancel. Sending again finds the TaskGroup of the first time.

        Raises:
            TaskCancelledError: a cancellation was asked for before the TaskGroup was created.
            BridgeError: it was not created; the text says why.
        """
        await self._refuse_cancelled()
        identity = await self._keep_handle(task_group_metadata)
        request = calls.send_request(identity, task_specs, resources)
        if self.__dict__["python_images"]:
            request["version_info"] = await self.get_version_info()
        await self._refuse_cancelled()
        handle = (await bridge.call("/v1/send", request))["handle"]
        await self._cancel_if_requested(task_group_metadata, handle)
        return handle

    async def poll(self, task_group_metadata: JSON, data: Any) -> Any:
        """Wait until the group that the handle names has ended and return its Outcome for receive.

        Failures are outcomes too: only a return value leads to receive, and so to logs and outputs.

        Raises:
            NotImplementedError: the executor has a callback, and the bridge tells the dispatcher (push mode).
            TaskCancelledError: the group was cancelled or deleted.
            BridgeError: it cannot be waited for.
        """
        if self.__dict__["callback"]:
            raise NotImplementedError
        return await poller_of(self._options(with_pod=False), data).wait(data)

    async def receive(self, task_group_metadata: JSON, data: Any) -> list[TaskUpdate]:
        """Return how the nodes of task_group_metadata["node_ids"] ended, and the URIs and bytes of what they left.

        Without data, after a cancellation, all are CANCELLED and nobody is asked: the cluster may be out of reach.

        Raises:
            BridgeError: a node has not ended, or the record of what it left cannot be read.
        """
        if data is None:
            return calls.all_cancelled(task_group_metadata)
        request = calls.receive_request(self._options(with_pod=False), task_group_metadata, data)
        answer = await bridge.persist("/v1/receive", request, TRIES)
        return [TaskUpdate(**update) for update in answer["task_updates"]]

    async def cancel(self, task_metadata: JSON, job_handle: Any) -> bool:
        """Cancel the group that the handle names; True when the cluster has taken it, False for nothing to cancel.

        The dispatcher calls it at once for every node, with None for those that never started, and says nothing of an
        exception, so that one is logged here.
        """
        request = {"executor": self._options(with_pod=False), "task_metadata": task_metadata, "job_handle": job_handle}
        try:
            return (await bridge.finish("/v1/cancel", request, TRIES))["cancelled"] is True
        except Exception as err:
            logger.app_log.warning("Cancelling %s of %s: %s", job_handle, task_metadata, err)
            return False

    async def setup(self, task_metadata: JSON) -> None:
        """Have a bridge that runs, so that its absence is told before anything is pickled."""
        await asyncio.to_thread(bridge.PROCESS.start)

    async def teardown(self, task_metadata: JSON) -> None:
        """Do nothing: the bridge removes what a run put below assets, and the TaskGroup has its TTL."""

    async def run(self, function: Callable[..., Any], args: list[Any], kwargs: JSON, task_metadata: JSON) -> Any:
        """Run one function in the cluster and return its result; everything passes through memory.

        Raises:
            TaskRuntimeError: the function raised; the text has its traceback.
            TaskCancelledError: the group was cancelled or deleted.
            BridgeError: it could not be run.
        """
        request: JSON = {"executor": self._options(), "task_metadata": calls.task_metadata(task_metadata)}
        if self._has_dispatcher():
            await self._refuse_cancelled()
            await self._keep_handle(calls.run_group(task_metadata))
        if self.__dict__["python_images"]:
            request["version_info"] = await self.get_version_info() if self._has_dispatcher() else calls.own_version()
        request["call"] = await asyncio.to_thread(calls.call_of, function, args, kwargs)
        try:
            answer = await bridge.call("/v1/run", request, None)
        except TaskRuntimeError as err:
            print(err, file=self.task_stderr or sys.stderr)
            raise
        return await asyncio.to_thread(calls.result_of, answer["result"])

    def _options(self, with_pod: bool = True) -> JSON:
        return executor_options(self.__dict__, with_pod)

    def _has_dispatcher(self) -> bool:
        # covalent/executor/base.py, _init_runtime; who calls run by hand has none.
        return "_send_queue" in self.__dict__

    async def _keep_handle(self, group: JSON) -> JSON:
        identity = {"executor": self._options(), "task_group_metadata": group}
        await self.set_job_handle((await bridge.call("/v1/handle", identity))["handle"])
        return identity

    async def _refuse_cancelled(self) -> None:
        if await self.get_cancel_requested():
            raise TaskCancelledError("cancelled before it was sent")

    async def _cancel_if_requested(self, group: JSON, handle: JSON | None) -> None:
        """Cancel a group if that was asked for while it was created, when there was nothing to cancel yet."""
        try:
            requested = await self.get_cancel_requested()
        except Exception as err:  # The group is there: an exception would leave it to nobody.
            logger.app_log.warning("Asking whether to cancel %s: %s", handle, err)
            requested = False
        if requested:
            await self.cancel({"dispatch_id": group["dispatch_id"], "node_id": group["node_ids"][0]}, handle)
