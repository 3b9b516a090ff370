"""The module that Covalent loads as the executor "taskgroup".

Covalent takes the name from this file's, stores it in every workflow and uses it as the
section of covalent.conf (covalent/executor/__init__.py): the file must keep its name.
The rules that the methods follow are those of covalent/executor/base.py and
covalent_dispatcher/_core/runner_ng.py, release 0.240.
"""

from __future__ import annotations

import asyncio
import copy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn, Union

from covalent._shared_files import logger
from covalent._shared_files.exceptions import TaskCancelledError, TaskRuntimeError
from covalent._shared_files.util_classes import Status
from covalent.executor.base import AsyncBaseExecutor
from covalent.executor.schemas import ResourceMap, TaskSpec, TaskUpdate

from covalent_taskgroup_plugin import bridge, calls, checks, objects, section, transfers
from covalent_taskgroup_plugin.errors import BridgeError
from covalent_taskgroup_plugin.options import (
    DEFAULTS,
    changed,
    executor_options,
    results_options,
    tolerated,
    without_aliases,
)
from covalent_taskgroup_plugin.poller import poller_of

EXECUTOR_PLUGIN_NAME = "TaskGroupExecutor"
_EXECUTOR_PLUGIN_DEFAULTS = copy.deepcopy(DEFAULTS)

# For how many seconds a call is retried while its error may pass; the dispatcher itself calls once. No other call waits
# for a receive, and a failed receive loses results that exist. A cancellation delays the stop of a dispatcher.
SEND_SECONDS = 120.0
RECEIVE_SECONDS = 600.0
CANCEL_SECONDS = 30.0
# How long the dispatcher may take to respond to a request about a job.
DISPATCHER_SECONDS = 60
# A kubeconfig that cannot be used may be being rewritten, but mostly it is a mistake that its user has to see.
CONFIGURATION_SECONDS = 15.0
# For how many seconds a group is cancelled that may have been created by a send that failed.
ABANDON_SECONDS = 3600.0
# The codes of errors that mean that a send has created nothing, or that the object is not its own.
_REFUSALS = ("Invalid", "Conflict", "Forbidden", "NotInstalled", "Namespace")
JSON = dict[str, Any]
# Seconds, a text such as "90m", or a timedelta.
Duration = Union[float, str, timedelta]
_STATES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")


class TaskGroupExecutor(AsyncBaseExecutor):
    """Runs task groups as TaskGroup objects in a Kubernetes cluster.

    All arguments are by keyword, and None stands for the default. docs/covalent.md has more about each. An executor is
    made without a request to the cluster, since the dispatcher makes many on its event loop; check() makes requests.

    Args:
        image: container image of the tasks, with Python and cloudpickle. The default is the operator's.
        cpu: requested CPUs: 2, 0.5 or "500m". Idle CPUs of the node may be used beyond that.
        memory: requested memory, which is also the limit: "16 GB", "512Mi", or a number of GB.
        gpu: number of GPUs.
        gpu_resource: resource name of the GPUs.
        disk: requested local disk (ephemeral storage), which is also the limit, in the forms of memory.
        shared_memory: size of /dev/shm, in the forms of memory. What is in use counts as memory.
        env: environment variables, which arrive unchanged. Put no credentials here: see secrets.
        secrets: Secrets whose entries all become environment variables.
        secret_env: environment variables from single entries of Secrets, as {"TOKEN": "secret/key"}.
        volumes: mount paths and volumes, as {"/data": "claim"}. Other forms are "claim:ro", "secret:name",
            "configmap:name", "tmp", "tmp:10Gi", and a dictionary with the volume source of spec.pod.volumes.
        workdir: working directory of commands. The default is the image's.
        node_selector: labels that the node must have.
        tolerations: taints that are tolerated: "gpu=true:NoSchedule", "gpu:NoSchedule" or "gpu".
        priority: priority class of the pods.
        service_account: service account of the pods.
        image_pull_secrets: Secrets of the registry.
        pod: any other field of spec.pod, under its name there. The short forms above are laid over it.
        python: Python interpreter of the image: a program on its PATH, or an absolute path.
        runner: any field of spec.runner, such as {"preload": ["torch"]}.
        kubeconfig: a file of the dispatcher's machine. The default is kubectl's.
        context: context of the kubeconfig. The default is the current one.
        namespace: namespace of the TaskGroups. The default is the context's.
        assets: URI, or absolute path, below which the dispatcher puts functions and inputs. The default is the asset
            gateway of the cluster.
        outputs: URI, or absolute path, below which the pods put results. The default is "results" below assets.
        gateway: asset gateway, as "namespace/name" of its Service or an https URL. The default is that of the operator.
        gateway_account: service account of the namespace whose tokens the gateway gets. The default is
            "taskgroup-dispatcher".
        local_paths: folders as pods see them, to the same folders of the dispatcher's machine.
        presign: whether pods of an s3:// store get signed URLs in place of credentials.
        presign_seconds: how long these URLs are valid. The default is 7 days.
        presign_endpoint: URL of the store for the pods, if it differs from the dispatcher's.
        download_limit: outputs that are larger stay in the store, if only tasks with the same storage read them, and
            the server has a reference that is fetched when it is unpickled. "" downloads all.
        python_images: images by Python version, as {"3.11": "..."}, if image is not set.
        dispatcher: name of this dispatcher, as a label of its TaskGroups.
        cancel_on_stop: whether running groups are cancelled when the dispatcher stops.
        execution: "Sequential" (the default) or "Parallel".
        parallelism: how many pods of a Parallel group run at the same time. The default is all.
        time_limit: how long a group may run: seconds, "90m" or a timedelta. -1 is no limit.
        retries: how often failed tasks are retried.
        infrastructure_retries: how often a group is retried after a failure of the cluster. -1: the operator's default.
        oom_memory_factor: the factor by which memory grows when a retry follows an OOM kill.
        queued_seconds: how long a group may wait for resources.
        starting_seconds: how long a pod may take to start.
        task_seconds: how long one task may run.
        ttl_seconds_after_finished: when a finished TaskGroup is deleted.
        queue: local queue of Kueue.
        labels: labels of the TaskGroups and their pods.
        annotations: annotations of the TaskGroups and their pods.
        callback: URL of the dispatcher, for push mode.
        log_stdout: file of the dispatcher's machine that stdout is appended to.
        log_stderr: file of the dispatcher's machine that stderr is appended to.
        cache_dir: folder of the dispatcher's machine for error messages.
        other: vcpu, k8s_context, k8s_config_file and data_store, which are deprecated: the names of cpu, context,
            kubeconfig and assets in covalent-kubernetes-plugin.

    Raises:
        TypeError: an argument is unknown, of the wrong type or not JSON.
        ValueError: an argument has a value that the cluster or Covalent's server does not accept, or an unknown field.
    """

    SUPPORTS_MANAGED_EXECUTION = True

    def __init__(
        self,
        *,
        image: str | None = "",
        cpu: float | str | None = "",
        memory: float | str | None = "",
        gpu: int | str | None = 0,
        gpu_resource: str | None = "nvidia.com/gpu",
        disk: float | str | None = "",
        shared_memory: float | str | None = "",
        env: Mapping[str, Any] | None = None,
        secrets: Sequence[str] | None = None,
        secret_env: Mapping[str, str] | None = None,
        volumes: Mapping[str, str | JSON] | None = None,
        workdir: str | None = "",
        node_selector: Mapping[str, Any] | None = None,
        tolerations: Sequence[str | JSON] | None = None,
        priority: str | None = "",
        service_account: str | None = "",
        image_pull_secrets: Sequence[str] | None = None,
        pod: JSON | None = None,
        python: str | None = "",
        runner: JSON | None = None,
        kubeconfig: str | PathLike[str] | None = "",
        context: str | None = "",
        namespace: str | None = "",
        assets: str | PathLike[str] | None = "",
        outputs: str | PathLike[str] | None = "",
        gateway: str | None = "",
        gateway_account: str | None = "",
        local_paths: Mapping[str, str] | None = None,
        presign: bool | None = False,
        presign_seconds: Duration | None = 0,
        presign_endpoint: str | None = "",
        python_images: Mapping[str, str] | None = None,
        download_limit: float | str | None = "16Mi",
        dispatcher: str | None = "",
        cancel_on_stop: bool | None = False,
        execution: str | None = "",
        parallelism: int | None = 0,
        time_limit: Duration | None = -1,
        retries: int | None = 0,
        infrastructure_retries: int | None = -1,
        oom_memory_factor: float | str | None = "",
        queued_seconds: Duration | None = 0,
        starting_seconds: Duration | None = 0,
        task_seconds: Duration | None = 0,
        ttl_seconds_after_finished: Duration | None = 86400,
        queue: str | None = "",
        labels: Mapping[str, Any] | None = None,
        annotations: Mapping[str, Any] | None = None,
        callback: str | None = "",
        log_stdout: str | PathLike[str] | None = "",
        log_stderr: str | PathLike[str] | None = "",
        cache_dir: str | PathLike[str] | None = "",
        # Previous names. Type checkers report them, as they report names that do not exist.
        **other: NoReturn,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name in DEFAULTS}
        super().__init__()
        self.__dict__.update(section.attributes({**arguments, **without_aliases(arguments, other)}))

    def __repr__(self) -> str:
        """Return the call that makes this executor, with the arguments that differ from their defaults."""
        arguments = (f"{name}={value!r}" for name, value in changed(self.__dict__).items())
        return f"{type(self).__name__}({', '.join(arguments)})"

    def replace(self, **changes: Any) -> TaskGroupExecutor:
        """Return another executor with the arguments of this one, except for changes.

        Raises:
            TypeError, ValueError: as the constructor does.
        """
        changes = without_aliases({}, changes)
        return type(self)(**{**changed(self.__dict__), **changes})

    def check(self, *, pod: bool = True, seconds: float = 120) -> checks.Report:
        """Check what groups of this executor need, print what to do about each failure, and return the report.

        Checked are the cluster, the CRD, the operator, the permissions, the namespace, the store from this machine and,
        in a short-lived pod with the options of this executor, the store, Python and cloudpickle of the image. All that
        is created is removed, also after an interrupt. The report is true if no check failed.

        Args:
            pod: whether the checks that start a pod are made.
            seconds: how long the pod is waited for. The other checks take up to a minute more.

        Raises:
            BridgeError: the checks could not be made, such as for options that the bridge refuses. A check that failed
                is no exception.
        """
        report = checks.check(self._options(with_pod=True), pod, seconds)
        print(report)
        return report

    def to_dict(self) -> JSON:
        """Return {"type": str, "short_name": "taskgroup", "attributes": {...}}, without the queues of a running one."""
        attributes = tolerated({name: self.__dict__[name] for name in DEFAULTS})
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
        """Return where the dispatcher puts an object before send.

        It is called on the event loop for every object and cannot wait, so it sends no request. The upload to this URI
        only records the file; send uploads what the pods need.
        """
        group = f"{task_group_metadata['dispatch_id']}/{task_group_metadata['task_group_id']}"
        return objects.upload_uri(group, object_key)

    def validate_status(self, status: Status) -> bool:
        """Say whether a state may be recorded for a job, as executor/status.go has it."""
        return str(status) in _STATES

    async def send(self, task_specs: list[TaskSpec], resources: ResourceMap, task_group_metadata: JSON) -> Any:
        """Create the TaskGroup and return its handle, {"context", "namespace", "name", "uid"}, for poll.

        Functions and inputs are uploaded first, each content once. Covalent's own nodes for lists, dictionaries and
        unpacking need no TaskGroup: their output is computed here, and the handle is {"output": name, ...}.

        The handle is the dispatcher's before there is a TaskGroup: a failure in between leaves none that nobody can
        cancel. Sending again finds the TaskGroup of the first time.

        Raises:
            TaskCancelledError: a cancellation was asked for before the TaskGroup was created.
            BridgeError: it was not created; the text says why. If the response to the create was lost, the TaskGroup
                may exist, and is cancelled as soon as the cluster can be reached.
        """
        files = transfers.recorded(resources)
        output = await transfers.helper_output(task_specs, resources, files)
        if output is not None:
            return output
        # At the same time: neither needs the other, and both are requests.
        (identity, kept), (storage, resources) = await transfers.both(
            self._keep_handle(task_group_metadata), self._upload(task_group_metadata["dispatch_id"], resources, files)
        )
        identity["executor"].update(storage)
        request = calls.send_request(identity, task_specs, resources)
        if self.__dict__["python_images"]:
            request["version_info"] = await self.get_version_info()
        await self._refuse_cancelled()
        try:
            handle: JSON = (await bridge.persist("/v1/send", request, SEND_SECONDS, _sends_again()))["handle"]
        except BridgeError as err:
            if err.code not in _REFUSALS:
                self._abandon(task_group_metadata, kept)
            raise
        await self._cancel_if_requested(task_group_metadata, handle)
        return handle

    async def poll(self, task_group_metadata: JSON, data: Any) -> Any:
        """Wait until the group that the handle names has ended and return its Outcome for receive.

        Failures are outcomes too: only a return value leads to receive, and so to logs and outputs.

        Raises:
            NotImplementedError: the executor has a callback, and the bridge tells the dispatcher (push mode).
            TaskCancelledError: the group was cancelled or deleted.
            BridgeError: the bridge refuses to wait for it. A bridge, a kubeconfig or a cluster that is unavailable is
                waited out, with warnings in Covalent's log: the group runs regardless of it.
        """
        if transfers.is_output(data):
            return data
        if self.__dict__["callback"]:
            raise NotImplementedError
        options = self._options()
        return await poller_of(options, data).wait(data, self.__dict__["cancel_on_stop"], results_options(options))

    async def receive(self, task_group_metadata: JSON, data: Any) -> list[TaskUpdate]:
        """Return how the nodes of task_group_metadata["node_ids"] ended, and the URIs and bytes of what they left.

        Without data, after a cancellation, all are CANCELLED and nobody is asked: the cluster may be out of reach.

        Raises:
            BridgeError: the record of the results cannot be read, also after RECEIVE_SECONDS.
        """
        if data is None:
            return calls.all_cancelled(task_group_metadata)
        if transfers.is_output(data):
            return [transfers.helper_update(task_group_metadata, data)]
        request = calls.receive_request(self._options(), task_group_metadata, data)
        answer = await _received(request)
        for warning in answer.get("warnings", []):
            logger.app_log.warning("TaskGroup executor: %s", warning)
        updates = await transfers.downloads(self.__dict__, answer["task_updates"])
        return [TaskUpdate(**update) for update in updates]

    async def cancel(self, task_metadata: JSON, job_handle: Any) -> bool:
        """Cancel the group that the handle names; True when the cluster has taken it, False for nothing to cancel.

        The dispatcher calls it at once for every node, with None for those that never started, and says nothing of an
        exception, so that one is logged here.
        """
        request = {"executor": self._options(), "task_metadata": task_metadata, "job_handle": job_handle}
        try:
            return (await bridge.finish("/v1/cancel", request, CANCEL_SECONDS))["cancelled"] is True
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
        request: JSON = {"executor": self._options(with_pod=True), "task_metadata": calls.task_metadata(task_metadata)}
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

    async def _upload(self, dispatch: str, resources: ResourceMap, files: dict[str, Path]) -> tuple[JSON, ResourceMap]:
        """Upload the files of a group. Return _storage and the resources with the URIs of the objects."""
        storage = await self._storage()
        return storage, await transfers.upload(self.__dict__, storage.get("assets", ""), dispatch, resources, files)

    async def _storage(self) -> JSON:
        """Return the values of assets and outputs for a send; those of the cluster's gateway if neither is set.

        Raises:
            BridgeError: neither is set, and the cluster has no gateway or does not permit its use.
        """
        if self.__dict__["assets"] or self.__dict__["outputs"]:
            return {name: self.__dict__[name] for name in ("assets", "outputs") if self.__dict__[name]}
        return await transfers.default_storage(self._options(), SEND_SECONDS, _sends_again())

    async def _wait_for_response(self, timeout: int = DISPATCHER_SECONDS) -> Any:
        """Do as Covalent's base class, which waits for 5 s and then raises an error without a text.

        A request is not repeated: its late response would be taken for the response to the next one.
        """
        try:
            return await super()._wait_for_response(timeout)
        except asyncio.TimeoutError as err:
            raise BridgeError(
                f"Covalent's dispatcher did not respond within {timeout} s: its database or disk may be too slow. "
                "Dispatch again"
            ) from err

    def _options(self, with_pod: bool = False) -> JSON:
        return executor_options(self.__dict__, with_pod)

    def _has_dispatcher(self) -> bool:
        # covalent/executor/base.py, _init_runtime; who calls run by hand has none.
        return "_send_queue" in self.__dict__

    async def _keep_handle(self, group: JSON) -> tuple[JSON, JSON]:
        """Record the handle of a group with the dispatcher; return what identifies the group, and the handle."""
        identity = {"executor": self._options(with_pod=True), "task_group_metadata": group}
        handle: JSON = (await bridge.persist("/v1/handle", identity, SEND_SECONDS, _sends_again()))["handle"]
        await self.set_job_handle(handle)
        return identity, handle

    def _abandon(self, group: JSON, handle: JSON) -> None:
        """Cancel in the background a group that may have been created though its send failed."""
        task = {"dispatch_id": group["dispatch_id"], "node_id": group["node_ids"][0]}
        request = {"executor": self._options(), "task_metadata": task, "job_handle": handle}
        abandoning = asyncio.create_task(_cancel_later(request))
        _abandoned.add(abandoning)
        abandoning.add_done_callback(_abandoned.discard)

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


# The tasks of _abandon: an event loop keeps no task by itself.
_abandoned: set[asyncio.Task[None]] = set()


async def _cancel_later(request: JSON) -> None:
    try:
        await bridge.persist("/v1/cancel", request, ABANDON_SECONDS)
    except Exception as err:
        logger.app_log.warning("Cancelling %s, whose send failed: %s", request["job_handle"], err)


async def _received(request: JSON) -> JSON:
    """Return the answer to a ReceiveRequest; wait for a group that has not finished, as in push mode it may."""
    while True:
        try:
            return dict(await bridge.persist("/v1/receive", request, RECEIVE_SECONDS, _receives_again))
        except BridgeError as err:
            if err.code != "NotFinished":
                raise
        await asyncio.sleep(bridge.LONGEST_DELAY)


def _receives_again(err: BridgeError) -> bool:
    return err.code != "NotFinished" and bridge.passes(err)


def _sends_again() -> Callable[[BridgeError], bool]:
    """Return which errors of one send may pass: most refusals of a create are mistakes that the user has to see."""
    begun = time.monotonic()

    def may_pass(err: BridgeError) -> bool:
        if err.code == "Configuration":
            return time.monotonic() - begun < CONFIGURATION_SECONDS
        return err.retry or err.code == "Unauthorized"

    return may_pass
