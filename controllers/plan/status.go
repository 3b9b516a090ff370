package plan

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

// maxConditionMessage is in bytes. The API takes 32,768, but every watcher gets
// every status.
const maxConditionMessage = 2048

// IsTerminal says whether the group has ended. Nothing leaves that state.
func IsTerminal(status *v1alpha1.TaskGroupStatus) bool {
	return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionFinished)
}

// ReasonOf is the one word that `kubectl get tg` shows.
func ReasonOf(status *v1alpha1.TaskGroupStatus) v1alpha1.Reason {
	c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSucceeded)
	if c == nil {
		return v1alpha1.ReasonPending
	}
	return v1alpha1.Reason(c.Reason)
}

func isCancelling(status *v1alpha1.TaskGroupStatus) bool {
	return ReasonOf(status) == v1alpha1.ReasonCancelling
}

// verdict is how an attempt ended.
type verdict struct {
	succeeded bool
	reason    v1alpha1.Reason
	message   string
	// record is what the runner left; nil where it left nothing.
	record *contract.TerminationMessage
	// unverified is set where the Job's word is all there is: the manifest was
	// committed, and its digest is not known.
	unverified bool
}

// finish is the plan that ends a group.
func finish(o *Observed, v verdict, now time.Time) Plan {
	status := progressed(o, o.attemptPod())
	status.Tasks = endedTasks(o, v)
	status.Manifest = manifestOf(o, v)
	settle(status, v, o.TaskGroup.Generation, now)
	return Plan{Status: status}
}

// progressed copies the status and fills in what every status after the Job's
// creation tells.
func progressed(o *Observed, pod *corev1.Pod) *v1alpha1.TaskGroupStatus {
	status := o.TaskGroup.Status.DeepCopy()
	status.ObservedGeneration = o.TaskGroup.Generation
	if o.jobIsOurs() && (len(status.Jobs) == 0 || status.Jobs[len(status.Jobs)-1].UID != o.Job.UID) {
		status.Attempt = o.Attempt
		status.Jobs = append(status.Jobs, v1alpha1.JobReference{Name: o.Job.Name, UID: o.Job.UID, Attempt: o.Attempt})
	}
	if pod != nil && pod.Spec.NodeName != "" {
		status.NodeName = pod.Spec.NodeName
	}
	return status
}

func runningStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	if status.StartTime == nil {
		status.StartTime = &metav1.Time{Time: now}
	}
	status.Tasks = uniformTasks(o, v1alpha1.TaskRunning)
	underWay(status, v1alpha1.ReasonRunning, fmt.Sprintf("Pod %s runs on node %s", pod.Name, pod.Spec.NodeName), now)
	return status
}

func startingStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	status.Tasks = uniformTasks(o, v1alpha1.TaskPending)
	underWay(status, v1alpha1.ReasonStarting, waitingFor(o, pod), now)
	return status
}

// cancellingStatus keeps what a stopped pod tells of itself, since the pod will
// be gone when the group is Cancelled.
func cancellingStatus(o *Observed, pod *corev1.Pod, message string, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	if pod != nil && PodEnded(pod) {
		keepRecord(status, o, pod)
	}
	underWay(status, v1alpha1.ReasonCancelling, message, now)
	return status
}

func cancelledStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	if pod != nil {
		keepRecord(status, o, pod)
	}
	if len(status.Tasks) == 0 {
		status.Tasks = uniformTasks(o, v1alpha1.TaskCancelled)
	}
	for i := range status.Tasks {
		if s := &status.Tasks[i]; s.State == v1alpha1.TaskPending || s.State == v1alpha1.TaskRunning {
			s.State = v1alpha1.TaskCancelled
		}
	}
	message := "Its Job was deleted"
	if o.TaskGroup.Spec.Cancel {
		message = "spec.cancel asked for it"
	}
	settle(status, verdict{reason: v1alpha1.ReasonCancelled, message: message}, o.TaskGroup.Generation, now)
	return status
}

// keepRecord copies the states and the manifest that a stopped pod committed.
func keepRecord(status *v1alpha1.TaskGroupStatus, o *Observed, pod *corev1.Pod) {
	record := recordOf(o, pod)
	if record == nil {
		return
	}
	v := verdict{record: record}
	status.Tasks = endedTasks(o, v)
	status.Manifest = manifestOf(o, v)
	status.Summary = summaryOf(status.Tasks)
}

func manifestOf(o *Observed, v verdict) *v1alpha1.ManifestReference {
	if o.ManifestURI == "" {
		return nil
	}
	if v.record != nil && v.record.ManifestSHA256 != "" {
		return &v1alpha1.ManifestReference{URI: o.ManifestURI, SHA256: v.record.ManifestSHA256}
	}
	if v.unverified {
		return &v1alpha1.ManifestReference{URI: o.ManifestURI}
	}
	return nil
}

// uniformTasks gives all tasks one state.
func uniformTasks(o *Observed, state v1alpha1.TaskState) []v1alpha1.TaskStatus {
	tasks := make([]v1alpha1.TaskStatus, len(o.TaskGroup.Spec.Tasks))
	for i := range tasks {
		tasks[i] = v1alpha1.TaskStatus{NodeID: o.TaskGroup.Spec.Tasks[i].NodeID, State: state}
	}
	return tasks
}

// endedTasks gives every task a terminal state: from the record where there is
// one, else that of the whole.
func endedTasks(o *Observed, v verdict) []v1alpha1.TaskStatus {
	if v.record == nil {
		if v.succeeded {
			return uniformTasks(o, v1alpha1.TaskCompleted)
		}
		tasks := uniformTasks(o, v1alpha1.TaskFailed)
		for i := range tasks {
			tasks[i].Reason = string(v.reason)
		}
		return tasks
	}
	tasks := uniformTasks(o, v1alpha1.TaskCancelled)
	for i := range tasks {
		if state := v1alpha1.TaskState(v.record.States[i]); v.record.States[i].IsTerminal() {
			tasks[i].State = state
		}
		if f := v.record.Failure; f != nil && f.NodeID != nil && v1alpha1.NodeID(*f.NodeID) == tasks[i].NodeID {
			tasks[i].Reason = contract.Truncate(string(f.Reason), maxReason)
			tasks[i].Message = contract.Truncate(oneLine(f.Message), maxConditionMessage)
			tasks[i].ExitCode = f.ExitCode
		}
	}
	return tasks
}

// underWay says that the group has not ended.
func underWay(status *v1alpha1.TaskGroupStatus, reason v1alpha1.Reason, message string, now time.Time) {
	status.Summary = summaryOf(status.Tasks)
	setConditions(status, metav1.ConditionUnknown, reason, message, now)
}

// settle says that the group has ended.
func settle(status *v1alpha1.TaskGroupStatus, v verdict, generation int64, now time.Time) {
	status.ObservedGeneration = generation
	status.CompletionTime = &metav1.Time{Time: now}
	if status.StartTime != nil && status.CompletionTime.Before(status.StartTime) {
		// The operator's clock was set back meanwhile (invariant I17).
		status.CompletionTime = status.StartTime
	}
	status.Summary = summaryOf(status.Tasks)
	succeeded := metav1.ConditionFalse
	if v.succeeded {
		succeeded = metav1.ConditionTrue
	}
	setConditions(status, succeeded, v.reason, v.message, now)
}

func setConditions(status *v1alpha1.TaskGroupStatus, succeeded metav1.ConditionStatus, reason v1alpha1.Reason, message string, now time.Time) {
	message = contract.Truncate(oneLine(message), maxConditionMessage)
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSucceeded); c != nil && c.LastTransitionTime.Unix() <= 0 {
		// The API server's preset has no time of its own.
		c.LastTransitionTime = metav1.Time{Time: now}
	}
	set := func(conditionType string, value metav1.ConditionStatus) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type:               conditionType,
			Status:             value,
			ObservedGeneration: status.ObservedGeneration,
			LastTransitionTime: metav1.Time{Time: now},
			Reason:             string(reason),
			Message:            message,
		})
	}
	set(v1alpha1.ConditionSucceeded, succeeded)
	finished := metav1.ConditionTrue
	if succeeded == metav1.ConditionUnknown {
		finished = metav1.ConditionFalse
	}
	set(v1alpha1.ConditionFinished, finished)
}

// oneLine keeps what a task printed or raised from breaking a table or a
// terminal: every control character becomes a space (invariant I30).
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, unicode.IsControl), " ")
}

func summaryOf(tasks []v1alpha1.TaskStatus) string {
	completed := 0
	for i := range tasks {
		if tasks[i].State == v1alpha1.TaskCompleted {
			completed++
		}
	}
	return fmt.Sprintf("%d/%d", completed, len(tasks))
}
