// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// waits explain what an active group waits for; its message has the details.
var waits = map[v1alpha1.Reason]string{
	v1alpha1.ReasonPending:    "the operator has not seen it yet, or its pod is on its way",
	v1alpha1.ReasonQueued:     "there is no room for it: a quota, a queue, or no node that takes its pod",
	v1alpha1.ReasonStarting:   "its pod has a node and cannot run yet: an image, a volume, or the node itself",
	v1alpha1.ReasonRetrying:   "an attempt failed, and the next begins after a pause",
	v1alpha1.ReasonSuspending: "it is to be suspended, and its pod is ending",
	v1alpha1.ReasonSuspended:  "it is suspended, and continues where it was when it is resumed",
	v1alpha1.ReasonStopping:   "an attempt failed before its pod ran, and the pod is being removed",
	v1alpha1.ReasonCancelling: "it is being cancelled, and a pod has its grace period (30 s by default) to end",
}

// WhyItWaits returns a sentence with the reason why a group does not run; empty where it runs or has
// ended.
func WhyItWaits(tg *v1alpha1.TaskGroup) string {
	if tg.Status.IsFinished() {
		return ""
	}
	return waits[tg.Status.Reason()]
}

// remedies are the next steps for a reason. {name} and {cmd} are filled in.
var remedies = map[v1alpha1.Reason][]string{
	v1alpha1.ReasonPending:    {"if it stays so, see whether the operator runs: kubectl -n taskgroup-system get pods"},
	v1alpha1.ReasonQueued:     {"wait, or make room as the message says; spec.timeouts.queuedSeconds bounds the wait"},
	v1alpha1.ReasonStarting:   {"wait, or put right what the message names; spec.timeouts.startingSeconds bounds the wait"},
	v1alpha1.ReasonRunning:    {"follow it: {cmd} logs -f {name}", "wait for it: {cmd} wait {name}"},
	v1alpha1.ReasonSuspended:  {"let it go on: {cmd} resume {name}"},
	v1alpha1.ReasonRetrying:   {"read why it failed: {cmd} logs {name} --attempt {attempt}"},
	v1alpha1.ReasonCancelling: {"wait; if it stays so, the message names the node that does not answer"},

	v1alpha1.ReasonCompleted: {"see what it left: {cmd} results {name}"},
	v1alpha1.ReasonCancelled: {"run it once more: {cmd} retry {name}"},

	v1alpha1.ReasonTaskError:             {"read the traceback: {cmd} logs {name}", "then, with what went wrong put right: {cmd} retry {name}"},
	v1alpha1.ReasonExitCode:              {"read what it printed: {cmd} logs {name}", "then, with what went wrong put right: {cmd} retry {name}"},
	v1alpha1.ReasonOOMKilled:             {"give it more memory: {cmd} retry {name} --memory 2Gi", "or let it grow by itself: spec.retries.limit with spec.retries.oomMemoryFactor"},
	v1alpha1.ReasonEvicted:               {"the cluster stopped its pod more often than spec.retries.infrastructureLimit allows: {cmd} retry {name}", "if the message names a storage limit, raise spec.pod.resources.limits[ephemeral-storage] or the emptyDir's sizeLimit"},
	v1alpha1.ReasonPreempted:             {"pods of higher priority took its place: {cmd} retry {name}, or give it a spec.pod.priorityClassName"},
	v1alpha1.ReasonNodeLost:              {"its node went away: {cmd} retry {name}"},
	v1alpha1.ReasonTerminated:            {"its pod was deleted: {cmd} retry {name}"},
	v1alpha1.ReasonImagePullFailed:       {"name an image that the nodes can pull: {cmd} retry {name} --image IMAGE", "or give it spec.pod.imagePullSecrets"},
	v1alpha1.ReasonContainerConfigError:  {"create what the message names, such as a Secret, then: {cmd} retry {name}"},
	v1alpha1.ReasonContainerCreateError:  {"read the message of the node, then: {cmd} retry {name}"},
	v1alpha1.ReasonVolumeMountFailed:     {"create or repair the volume that the message names, then: {cmd} retry {name}"},
	v1alpha1.ReasonUnschedulable:         {"request what the nodes have (spec.pod.resources, nodeSelector, tolerations), then create it again"},
	v1alpha1.ReasonQuotaExceeded:         {"make room in the quota, then: {cmd} retry {name}"},
	v1alpha1.ReasonInputUnavailable:      {"put the object where the message says, then: {cmd} retry {name}"},
	v1alpha1.ReasonInputInvalid:          {"use an image that has what the function imports: {cmd} retry {name} --image IMAGE"},
	v1alpha1.ReasonOutputInvalid:         {"return something that can be pickled"},
	v1alpha1.ReasonOutputUploadFailed:    {"make the place of spec.assets.outputs writable, then: {cmd} retry {name}"},
	v1alpha1.ReasonHookFailed:            {"read the hook's output: {cmd} logs {name}"},
	v1alpha1.ReasonPythonVersionMismatch: {"use an image with the Python that the message names: {cmd} retry {name} --image IMAGE"},
	v1alpha1.ReasonPythonUnavailable:     {"use an image with Python 3.9 or newer and cloudpickle: {cmd} retry {name} --image IMAGE"},
	v1alpha1.ReasonDeadlineExceeded:      {"see what took so long: {cmd} timeline {name}", "and raise the one of spec.timeouts that the message names"},
	v1alpha1.ReasonJobRejected:           {"change what the message names, and create it again"},
	v1alpha1.ReasonNameConflict:          {"delete the Job that the message names, then: {cmd} retry {name}"},
	v1alpha1.ReasonTooLarge:              {"use fewer tasks, or shorter commands and URIs, in one group"},
	v1alpha1.ReasonPlanInvalid:           {"use the runner image of the operator's release: see the operator's --runner-image"},
	v1alpha1.ReasonUnknown:               {"look at what its pod left: {cmd} logs {name}", "then: {cmd} retry {name}"},
}

// WhatNext are things to do about a group as it is; command is how this program
// is called.
func WhatNext(tg *v1alpha1.TaskGroup, command string) []string {
	reason := tg.Status.Reason()
	name := tg.Name
	if tg.Namespace != "" {
		name += " -n " + tg.Namespace
	}
	fill := strings.NewReplacer("{cmd}", command, "{name}", name, "{attempt}", strconv.Itoa(int(max(tg.Status.Attempt, 1))))
	var next []string
	for _, remedy := range remedies[reason] {
		if tg.Spec.DispatchID != "" {
			remedy = redispatched(remedy, tg.Spec.DispatchID)
		}
		next = append(next, fill.Replace(remedy))
	}
	if len(next) == 0 && StageOf(tg) == Failed {
		next = append(next, fill.Replace("read its log: {cmd} logs {name}"))
	}
	return next
}

// retry matches the command of a remedy that runs a group again.
var retry = regexp.MustCompile(`\{cmd\} retry \{name\}( --\S+ \S+)?`)

// redispatched returns the remedy for a group of a workflow. The result of a new group
// would not reach the workflow: only Covalent can run its node again.
func redispatched(remedy, dispatch string) string {
	parts := retry.FindStringSubmatch(remedy)
	if parts == nil {
		return remedy
	}
	again := fmt.Sprintf("ct.redispatch(%q, reuse_previous_results=True)()", dispatch)
	if parts[1] != "" {
		again = "change the executor of the workflow, then " + again
	}
	return strings.Replace(remedy, parts[0], again, 1)
}
