// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// resultExists is I8: for every COMPLETED task of a finished group, the object exists
// at the location that the status derives, whichever attempt completed the task. A pod
// writes below the prefix of its own attempt, so a pod of that attempt must have
// completed the task.
func resultExists(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		end, ok := g.end()
		if !ok || end.obj.Spec.OutputsURI() == "" || strings.Contains(verdict(end.obj).Message, "deleted before its termination message") {
			continue
		}
		for i := range end.obj.Status.Tasks {
			task := &end.obj.Status.Tasks[i]
			attempt := task.Attempt
			if attempt == 0 {
				attempt = end.obj.Status.Attempt
			}
			if task.State == v1alpha1.TaskCompleted && !completedBy(g, i, attempt) {
				found = append(found, g.violation(g.life.first().revision, end.revision, fmt.Sprintf(
					"task %s is COMPLETED by attempt %d, and no pod of that attempt completed it", task.NodeID, attempt)))
			}
		}
	}
	return found
}

// completedBy reports whether a pod of an attempt completed the task at a position.
func completedBy(g *group, position int, attempt int32) bool {
	for _, p := range g.pods {
		made := p.life.first().obj
		if made.Labels[v1alpha1.AttemptLabel] != strconv.Itoa(int(attempt)) {
			continue
		}
		tg := g.life.first().obj
		state := position
		if tg.Spec.Execution == v1alpha1.Parallel {
			if nodeOf(tg, p) != tg.Spec.Tasks[position].NodeID {
				continue
			}
			state = 0
		}
		if _, ok := p.life.when(func(v version[*corev1.Pod]) bool { return completes(v.obj, state) }); ok {
			return true
		}
	}
	return false
}

// nodeOf is the task that a pod of a Parallel group runs; -1 if it is unknown.
func nodeOf(tg *v1alpha1.TaskGroup, p *pod) v1alpha1.NodeID {
	index, err := strconv.Atoi(p.index)
	if err != nil {
		return -1
	}
	if nodes := p.life.first().obj.Annotations[v1alpha1.NodesAnnotation]; nodes != "" {
		ids := strings.Split(nodes, ",")
		if index >= len(ids) {
			return -1
		}
		id, err := strconv.ParseInt(ids[index], 10, 64)
		if err != nil {
			return -1
		}
		return v1alpha1.NodeID(id)
	}
	if index >= len(tg.Spec.Tasks) {
		return -1
	}
	return tg.Spec.Tasks[index].NodeID
}

// completes reports whether a pod shows that the task at a position of its record
// completed.
func completes(p *corev1.Pod, position int) bool {
	if p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	record := recordOf(p)
	return record != nil && position < len(record.States) && record.States[position] == contract.TaskCompleted
}

// recordOf is the termination message of a pod, whatever its number of tasks; nil if
// there is none.
func recordOf(p *corev1.Pod) *contract.TerminationMessage {
	for i := range p.Status.ContainerStatuses {
		terminated := p.Status.ContainerStatuses[i].State.Terminated
		if terminated == nil {
			continue
		}
		for tasks := 1; tasks <= 256; tasks++ {
			if record, err := contract.DecodeTerminationMessage(terminated.Message, tasks); err == nil {
				return record
			}
		}
	}
	return nil
}

// taskBudgets is I22 for each task: a FAILED task becomes PENDING only if the budget
// of its own reason was spent.
func taskBudgets(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		for n := 1; n < len(g.life); n++ {
			before, after := &g.life[n-1].obj.Status, &g.life[n].obj.Status
			for i := range min(len(before.Tasks), len(after.Tasks)) {
				was, is := &before.Tasks[i], &after.Tasks[i]
				if was.State != v1alpha1.TaskFailed || is.State.IsTerminal() || spentMore(was, is) {
					continue
				}
				found = append(found, g.violation(g.life[n-1].revision, g.life[n].revision, fmt.Sprintf(
					"task %s was FAILED with %s and is %s without having spent its budget", was.NodeID, was.Reason, is.State)))
			}
		}
	}
	return found
}

// spentMore reports whether a task has spent more of the budget of its failure.
func spentMore(was, is *v1alpha1.TaskStatus) bool {
	spent := func(t *v1alpha1.TaskStatus) int32 {
		switch {
		case t.Retries == nil:
			return 0
		case was.Reason.Info().Source == v1alpha1.SourceInfrastructure:
			return t.Retries.Infrastructure
		}
		return t.Retries.User
	}
	return spent(is) > spent(was)
}
