package doctor

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// pollInterval is how often a group is read.
	pollInterval = 250 * time.Millisecond
	// createTimeout bounds the creation of a group.
	createTimeout = 30 * time.Second
	// removeTimeout bounds the removal of a group, also after a cancellation.
	removeTimeout = 20 * time.Second
	// leftoverTTL is when the operator deletes a group that this program could not, such
	// as after SIGKILL, in seconds.
	leftoverTTL = 120
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
		TTLSecondsAfterFinished: new(int32(leftoverTTL)),
	}
	return tg
}

// checkOperator creates a suspended group, which starts no pod, and waits until the
// operator has processed it.
func (d *doctor) checkOperator(ctx context.Context) Check {
	tg := d.group(probeOfOperator)
	tg.Spec.Suspend = true
	begin := time.Now()
	if err := d.create(ctx, tg); err != nil {
		if apierrors.IsForbidden(err) || isNotFound(err) {
			return skipped("a TaskGroup cannot be created: %s", err)
		}
		return d.refused("creating a suspended TaskGroup", err)
	}
	d.Progress(fmt.Sprintf("operator: waiting for TaskGroup %s to be processed", tg.Name))
	seen, err := d.await(ctx, tg, d.OperatorTimeout, func(seen *v1alpha1.TaskGroup) bool {
		return seen.Status.Reason() == v1alpha1.ReasonSuspended || seen.Status.IsFinished()
	})
	took := time.Since(begin)
	removed := d.remove(ctx, tg)
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

// create creates a group. A cancellation does not interrupt it: the group would exist
// without this program knowing.
func (d *doctor) create(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	err := d.cluster.Client.Create(ctx, tg)
	if err != nil && ctx.Err() != nil {
		_ = d.remove(ctx, tg)
	}
	return err
}

// await reads a group until it is as wanted. The error is a wait.Interrupted after the
// timeout; the group is then the last that was read.
func (d *doctor) await(ctx context.Context, tg *v1alpha1.TaskGroup, timeout time.Duration, wanted func(*v1alpha1.TaskGroup) bool) (*v1alpha1.TaskGroup, error) {
	last := tg
	err := wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		var seen v1alpha1.TaskGroup
		err := d.cluster.Client.Get(ctx, client.ObjectKeyFromObject(tg), &seen)
		if err == nil {
			last = &seen
			return wanted(&seen), nil
		}
		// Other errors may pass, and the time is bounded.
		return false, goneError(err)
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return last, err
}

// goneError returns the error of a group that no longer exists.
func goneError(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("it was deleted during the check: %w", err)
	}
	return nil
}

// remove deletes a group with its pod, also after the cancellation of ctx. A caller
// that may not delete cancels it, and the operator deletes it.
func (d *doctor) remove(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	// The name is random: an object of this name, whose UID is unknown, is this group.
	options := []client.DeleteOption{client.PropagationPolicy(metav1.DeletePropagationForeground)}
	if tg.UID != "" {
		options = append(options, client.Preconditions{UID: &tg.UID})
	}
	err := d.cluster.Client.Delete(ctx, tg.DeepCopy(), options...)
	if apierrors.IsForbidden(err) {
		// Deleted by the operator at once after its end.
		change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true,"ttlSecondsAfterFinished":0}}`))
		err = d.cluster.Client.Patch(ctx, tg.DeepCopy(), change)
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("TaskGroup %s was not removed: %w", tg.Name, err)
	}
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := d.cluster.Client.Get(ctx, client.ObjectKeyFromObject(tg), &v1alpha1.TaskGroup{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		return fmt.Errorf("TaskGroup %s is still being removed after %s", tg.Name, removeTimeout)
	}
	return nil
}

func orPending(tg *v1alpha1.TaskGroup) string {
	if message := tg.Status.Message(); message != "" {
		return message
	}
	return "it has no status"
}

func seconds(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
