// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// These sequences were found by FuzzDecide.

// deleting is a pod that is being deleted.
func deleting(pod *corev1.Pod) *corev1.Pod {
	pod.DeletionTimestamp = &metav1.Time{Time: testkit.Created.Add(time.Minute)}
	return pod
}

// failedAndPending starts a Parallel group without budgets, of which task 0 failed
// without a record, and task 1 has not started.
func failedAndPending(t *testing.T) *life {
	t.Helper()
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Retries(0, 0).Obj())
	l.begin(1)
	l.pods = []*corev1.Pod{l.taskPod(1, 0).Ended(137, "OOMKilled", "").Obj(), l.taskPod(1, 1).Obj()}
	l.decide()
	l.wantTasks("FAILED OOMKilled a1", "PENDING")
	return l
}

// TestRecordedFailureOutlivesItsPod: no pod of the attempt runs or has terminated,
// and the status contains the result of one that was deleted.
func TestRecordedFailureOutlivesItsPod(t *testing.T) {
	l := failedAndPending(t)
	l.pods = l.pods[1:]
	l.decide()
	l.wantTasks("FAILED OOMKilled a1", "PENDING")
}

// TestSuspendKeepsRecordedFailures: a suspended group runs no task again that failed
// before, whether or not its pod still exists.
func TestSuspendKeepsRecordedFailures(t *testing.T) {
	for name, exists := range map[string]bool{"its pod exists": true, "its pod was deleted": false} {
		t.Run(name, func(t *testing.T) {
			l := failedAndPending(t)
			if !exists {
				l.pods = l.pods[1:]
			}
			l.tg.Spec.Suspend = true
			l.decide()
			l.wantReason(v1alpha1.ReasonSuspending)
			l.wantTasks("FAILED OOMKilled a1", "PENDING")
			if p := l.decide(); p.DeleteJob == nil {
				t.Fatalf("the Job is not deleted: %+v", outcomeOf(p))
			}
			delete(l.jobs, 1)
			l.pods = l.pods[:len(l.pods)-1]
			if exists {
				l.pods[0] = deleting(l.pods[0].DeepCopy())
			}
			l.decide()
			l.wantReason(v1alpha1.ReasonSuspended)
			l.wantTasks("FAILED OOMKilled a1", "PENDING")
		})
	}
}

// TestStopKeepsEarlierFailures: the pods of a stopped attempt are all deleted, those
// that had failed before as well as those that were interrupted.
func TestStopKeepsEarlierFailures(t *testing.T) {
	l := failedAndPending(t)
	l.tg.Spec.Retries = &v1alpha1.Retries{InfrastructureLimit: new(int32(1))}
	l.pods[1] = l.taskPod(1, 1).Waiting("CreateContainerError", "no such device").Obj()
	l.now = l.now.Add(time.Hour)
	l.decide()
	l.wantReason(v1alpha1.ReasonStopping)
	delete(l.jobs, 1)
	l.pods = []*corev1.Pod{deleting(l.pods[0].DeepCopy())}
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	l.wantTasks("FAILED OOMKilled a1", "PENDING")
}

// TestFailureBeforeTheQueueSuspends: a task that failed before the queue suspended
// the Job is not run again, although its siblings are.
func TestFailureBeforeTheQueueSuspends(t *testing.T) {
	for name, failed := range map[string]func(*corev1.Pod) *corev1.Pod{
		"the pod remains":    func(pod *corev1.Pod) *corev1.Pod { return pod },
		"the pod is deleted": deleting,
	} {
		t.Run(name, func(t *testing.T) {
			l := failedAndPending(t)
			l.jobs[1].Spec.Suspend = new(true)
			l.pods[0] = failed(l.pods[0].DeepCopy())
			l.decide()
			l.wantTasks("FAILED OOMKilled a1", "PENDING")
			l.finishJob(1, l.pods[0], deleting(l.interrupted(1, 1)))
			l.decide()
			l.wantReason(v1alpha1.ReasonRetrying)
			l.wantTasks("FAILED OOMKilled a1", "PENDING")
		})
	}
}

// TestQueueSuspensionComesTooLate: the only pod was OOM-killed, and the queue holds
// the Job before any pass read the result.
func TestQueueSuspensionComesTooLate(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Retries(0, 0).Obj()
	job := testkit.Job(tg).Held().Obj()
	p := plan.Decide(observe(tg, job, testkit.Pod(job).Ended(137, "OOMKilled", "").Obj()), now)
	if p.Status.Reason() != v1alpha1.ReasonOOMKilled {
		t.Errorf("the group is %s, want %s: the pod was not being deleted", p.Status.Reason(), v1alpha1.ReasonOOMKilled)
	}
}

// TestQueuePreemptsAParallelGroup: the queue suspends the Job while one task has no pod
// yet. The completed task is kept, the others run in the next attempt without spending
// a budget, and the suspended Job is deleted.
func TestQueuePreemptsAParallelGroup(t *testing.T) {
	for name, recorded := range map[string]bool{"the pods remain": false, "a recorded pod was deleted": true} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, testkit.TaskGroup("g").Commands(4).Parallel().Retries(0, 0).Obj())
			l.begin(1)
			l.pods = []*corev1.Pod{l.completed(1, 0), l.taskPod(1, 1).Running().Obj(), l.taskPod(1, 2).Running().Obj()}
			l.decide()
			l.jobs[1].Spec.Suspend = new(true)
			l.pods[1] = deleting(l.interrupted(1, 1))
			l.decide()
			l.wantReason(v1alpha1.ReasonRunning)
			l.pods[2] = deleting(l.interrupted(1, 2))
			if recorded {
				l.wantTasks("COMPLETED a1", "CANCELLED Preempted a1", "RUNNING", "PENDING")
				l.pods = []*corev1.Pod{l.pods[0], l.pods[2]}
			}
			l.decide()
			l.wantReason(v1alpha1.ReasonRetrying)
			l.wantTasks("COMPLETED a1", "PENDING", "PENDING", "PENDING")
			for _, task := range l.tg.Status.Tasks {
				if task.Retries != nil {
					t.Errorf("task %s spent %+v", task.NodeID, task.Retries)
				}
			}
			if l.tg.Status.Retries != nil {
				t.Errorf("the group spent %+v", l.tg.Status.Retries)
			}
			if p := l.decide(); p.DeleteJob == nil {
				t.Fatal("the suspended Job is not deleted: the next attempt would wait for it forever")
			}
		})
	}
}
