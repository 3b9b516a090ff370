// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/tempgroup"
)

// The parts of the names of groups.
const (
	probeOfOperator = "operator"
	probeOfPod      = "pod"
)

// group returns a group with the options of real groups and a task without effect.
func (d *doctor) group(part string) *v1alpha1.TaskGroup {
	tg := d.Group.DeepCopy()
	tg.ObjectMeta = metav1.ObjectMeta{
		Namespace: d.cluster.Namespace, Name: objectPrefix + part + "-" + d.id, Labels: tg.Labels, Annotations: tg.Annotations,
	}
	tg.Status = v1alpha1.TaskGroupStatus{}
	// No callback: the dispatcher does not know this group. One attempt: the user waits.
	tg.Spec = v1alpha1.TaskGroupSpec{
		Tasks:                   []v1alpha1.TaskSpec{{Command: []string{contract.RunnerPath, "--version"}}},
		Pod:                     tg.Spec.Pod,
		Runner:                  tg.Spec.Runner,
		Retries:                 &v1alpha1.Retries{InfrastructureLimit: new(int32(0))},
		TTLSecondsAfterFinished: new(int32(tempgroup.LeftoverTTL)),
	}
	return tg
}

// checkOperator creates a suspended group, which starts no pod, and waits until the
// operator has processed it.
func (d *doctor) checkOperator(ctx context.Context) Check {
	tg := d.group(probeOfOperator)
	tg.Spec.Suspend = true
	begin := time.Now()
	if err := tempgroup.Create(ctx, d.cluster.Client, tg); err != nil {
		if apierrors.IsForbidden(err) || isNotFound(err) {
			return skipped("a TaskGroup cannot be created: %s", err)
		}
		return d.refused("creating a suspended TaskGroup", err)
	}
	d.Progress(fmt.Sprintf("operator: waiting for TaskGroup %s to be processed", tg.Name))
	seen, err := tempgroup.Await(ctx, d.cluster.Client, tg, d.OperatorTimeout, func(seen *v1alpha1.TaskGroup) bool {
		return seen.Status.Reason() == v1alpha1.ReasonSuspended || seen.Status.IsFinished()
	})
	took := time.Since(begin)
	removed := tempgroup.Remove(ctx, d.cluster.Client, tg)
	switch {
	case wait.Interrupted(err):
		return failed("no operator has processed a TaskGroup of the namespace %s within %s: %s", d.cluster.Namespace, d.OperatorTimeout, orPending(seen)).
			next("check the operator: kubectl -n taskgroup-system get pods; kubectl -n taskgroup-system logs deployment/taskgroup-operator")
	case err != nil:
		return d.refused("reading TaskGroup "+tg.Name, err)
	case removed != nil:
		return warning("it processed a TaskGroup in %s; %s", seconds(took), removed).next("kubectl -n %s delete taskgroup %s", tg.Namespace, tg.Name)
	}
	return ok("it processed a TaskGroup in %s", seconds(took))
}

func orPending(tg *v1alpha1.TaskGroup) string {
	if message := tg.Status.Message(); message != "" {
		return message
	}
	return "it has no status"
}

// seconds returns a duration with the digits that a user reads.
func seconds(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
