// SPDX-License-Identifier: Apache-2.0

package invariants_test

import (
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
)

const (
	operatorUser = "the-operator"
	person       = "a-person"
	digest       = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// began is when every story begins. Each of its events takes a second.
var began = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// story writes a history by hand, one event after another. Objects are known by
// their UIDs: "u" for a group, "u/1" for the Job of its first attempt and
// "u/1/p" for a pod of that.
type story struct {
	history invariants.History
	now     time.Time
	objects map[string]client.Object
}

func newStory() *story { return &story{now: began, objects: map[string]client.Object{}} }

func (s *story) tell(event watch.EventType, uid string) {
	s.now = s.now.Add(time.Second)
	revision := int64(100 + len(s.history.Events))
	obj := s.objects[uid]
	obj.SetResourceVersion(strconv.FormatInt(revision, 10))
	s.history.Events = append(s.history.Events, invariants.Event{
		Type: event, Revision: revision, At: s.now, Object: obj.DeepCopyObject().(client.Object),
	})
}

func (s *story) add(uid string, obj client.Object) {
	obj.SetNamespace("team-a")
	obj.SetUID(types.UID(uid))
	obj.SetCreationTimestamp(metav1.Time{Time: s.now})
	s.objects[uid] = obj
	s.tell(watch.Added, uid)
}

// group creates a group "g" of two commands with outputs, two attempts of the
// user's and none of the cluster's.
func (s *story) group(uid string, edits ...func(*v1alpha1.TaskGroup)) {
	tg := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Name: "g", Generation: 1}}
	tg.Spec.Tasks = []v1alpha1.TaskSpec{{NodeID: 0}, {NodeID: 1}}
	tg.Spec.Assets = &v1alpha1.Assets{Outputs: "file:///out"}
	tg.Spec.Retries = &v1alpha1.Retries{Limit: 1, InfrastructureLimit: new(int32(0))}
	for _, edit := range edits {
		edit(tg)
	}
	s.add(uid, tg)
}

// is changes a group.
func (s *story) is(uid string, edits ...func(*v1alpha1.TaskGroup)) {
	for _, edit := range edits {
		edit(s.objects[uid].(*v1alpha1.TaskGroup))
	}
	s.tell(watch.Modified, uid)
}

// job creates the Job of an attempt.
func (s *story) job(group string, attempt int) { s.jobCalled(group, attempt, "") }

func (s *story) jobCalled(group string, attempt int, suffix string) {
	tg := s.objects[group]
	uid := fmt.Sprintf("%s/%d%s", group, attempt, suffix)
	s.add(uid, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name:            fmt.Sprintf("job-%s-%d", group, attempt),
		Labels:          map[string]string{v1alpha1.UIDLabel: group, v1alpha1.AttemptLabel: strconv.Itoa(attempt)},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(tg, v1alpha1.GroupVersion.WithKind("TaskGroup"))},
	}})
}

// jobIs gives a Job a true condition.
func (s *story) jobIs(uid string, condition batchv1.JobConditionType) {
	j := s.objects[uid].(*batchv1.Job)
	j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: condition, Status: corev1.ConditionTrue})
	s.tell(watch.Modified, uid)
}

// suspends is what a queue does to a Job.
func (s *story) suspends(uid string, suspend bool) {
	s.objects[uid].(*batchv1.Job).Spec.Suspend = &suspend
	s.tell(watch.Modified, uid)
}

// pod creates a pod of a Job, of an index if it is not empty.
func (s *story) pod(job, name, index string) {
	owner := s.objects[job]
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: owner.GetLabels(), Annotations: map[string]string{},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))},
	}}
	if index != "" {
		p.Annotations[batchv1.JobCompletionIndexAnnotation] = index
	}
	p.Status.Phase = corev1.PodPending
	s.add(job+"/"+name, p)
}

// podIs changes the phase of pods.
func (s *story) podIs(phase corev1.PodPhase, uids ...string) {
	for _, uid := range uids {
		p := s.objects[uid].(*corev1.Pod)
		p.Status.Phase = phase
		if phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Time{Time: s.now}},
			}}}
		}
		s.tell(watch.Modified, uid)
	}
}

// records terminates the container of the tasks with a termination message, while
// another container keeps the pod running.
func (s *story) records(uid, message string) {
	p := s.objects[uid].(*corev1.Pod)
	p.Status.ContainerStatuses = []corev1.ContainerStatus{
		{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Time{Time: s.now}, Message: message}}},
		{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
	}
	s.tell(watch.Modified, uid)
}

// deletes marks an object as being deleted, with the finalizer that the kind of
// deletion gives it, and notes who requested it.
func (s *story) deletes(user, resource, uid, finalizer string) {
	s.requests(user, "delete", resource, uid)
	obj := s.objects[uid]
	obj.SetDeletionTimestamp(&metav1.Time{Time: s.now})
	obj.SetFinalizers([]string{finalizer})
	s.tell(watch.Modified, uid)
}

// requests adds a line to the audit log.
func (s *story) requests(user, verb, resource, uid string) {
	r := audit.Request{Verb: verb, URI: "/", Object: audit.Object{Resource: resource, Namespace: "team-a"}, Received: s.now}
	r.User.Username, r.Response.Code = user, 200
	if obj := s.objects[uid]; obj != nil {
		r.Object.Name = obj.GetName()
	}
	s.history.Requests = append(s.history.Requests, r)
}

func (s *story) gone(uids ...string) {
	for _, uid := range uids {
		s.tell(watch.Deleted, uid)
	}
}

// runs takes an attempt to a pod that runs.
func (s *story) runs(group string, attempt int) {
	s.job(group, attempt)
	job := fmt.Sprintf("%s/%d", group, attempt)
	s.pod(job, "p", "")
	s.podIs(corev1.PodRunning, job+"/p")
	s.is(group, reports(v1alpha1.ReasonRunning), attempts(attempt))
}

// succeeds takes an attempt to its good end.
func (s *story) succeeds(group string, attempt int) {
	s.runs(group, attempt)
	job := fmt.Sprintf("%s/%d", group, attempt)
	s.podIs(corev1.PodSucceeded, job+"/p")
	s.jobIs(job, batchv1.JobComplete)
}

// fails takes an attempt to its bad end, and another one is promised.
func (s *story) fails(group string, attempt int) {
	s.runs(group, attempt)
	job := fmt.Sprintf("%s/%d", group, attempt)
	s.podIs(corev1.PodFailed, job+"/p")
	s.jobIs(job, batchv1.JobFailed)
	s.is(group, reports(v1alpha1.ReasonRetrying), closed(attempt, "TaskError"))
}

// reports sets the reason while a group is under way.
func reports(reason v1alpha1.Reason) func(*v1alpha1.TaskGroup) {
	return func(tg *v1alpha1.TaskGroup) {
		tg.Status.ObservedGeneration = tg.Generation
		condition := metav1.Condition{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionUnknown, Reason: string(reason)}
		meta.SetStatusCondition(&tg.Status.Conditions, condition)
	}
}

// ends sets a terminal reason, and completes everything if it is a good one.
func ends(reason v1alpha1.Reason) func(*v1alpha1.TaskGroup) {
	return func(tg *v1alpha1.TaskGroup) {
		reports(reason)(tg)
		meta.SetStatusCondition(&tg.Status.Conditions, metav1.Condition{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: string(reason)})
		tg.Status.CompletionTime = &metav1.Time{Time: began.Add(time.Hour)}
		if reason != v1alpha1.ReasonCompleted {
			return
		}
		tg.Status.Tasks = nil
		for i := range tg.Spec.Tasks {
			tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: tg.Spec.Tasks[i].NodeID, State: v1alpha1.TaskCompleted, Digest: "digest"})
		}
		tg.Status.Manifest = &v1alpha1.ManifestReference{URI: "file:///out/" + string(tg.UID) + "/a1/manifest.json", SHA256: digest}
	}
}

// attempts adds the reference to an attempt's Job.
func attempts(attempt int) func(*v1alpha1.TaskGroup) {
	return func(tg *v1alpha1.TaskGroup) {
		tg.Status.Attempt = int32(attempt)
		tg.Status.Jobs = append(tg.Status.Jobs, v1alpha1.JobReference{
			Name: fmt.Sprintf("job-%s-%d", tg.UID, attempt), UID: types.UID(fmt.Sprintf("%s/%d", tg.UID, attempt)), Attempt: int32(attempt),
		})
	}
}

// closed gives an attempt its reason.
func closed(attempt int, reason v1alpha1.Reason) func(*v1alpha1.TaskGroup) {
	return func(tg *v1alpha1.TaskGroup) { tg.Status.Jobs[attempt-1].Reason = reason }
}

func cancelled(tg *v1alpha1.TaskGroup) {
	tg.Spec.Cancel = true
	tg.Generation++
}
