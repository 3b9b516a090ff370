// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// version is one version of one object; gone marks the deletion.
type version[T client.Object] struct {
	revision int64
	at       time.Time
	gone     bool
	obj      T
}

// timeline is the life of one object, oldest version first; it is never empty.
type timeline[T client.Object] []version[T]

func (t timeline[T]) first() version[T] { return t[0] }
func (t timeline[T]) last() version[T]  { return t[len(t)-1] }

// when is the first version that something holds of.
func (t timeline[T]) when(holds func(version[T]) bool) (version[T], bool) {
	for _, v := range t {
		if holds(v) {
			return v, true
		}
	}
	return version[T]{}, false
}

// at is the version that stood at a revision; false where there was none.
func (t timeline[T]) at(revision int64) (version[T], bool) {
	var now version[T]
	for _, v := range t {
		if v.revision > revision {
			break
		}
		now = v
	}
	return now, now.revision > 0 && !now.gone
}

// deletion is the first version that shows the object being deleted, or gone.
func (t timeline[T]) deletion() (version[T], bool) {
	return t.when(func(v version[T]) bool { return v.gone || v.obj.GetDeletionTimestamp() != nil })
}

// group is the life of one TaskGroup, and of all that was made for it.
type group struct {
	uid  types.UID
	life timeline[*v1alpha1.TaskGroup]
	jobs []*job
	pods []*pod
}

// end is the first version in which the group has finished.
func (g *group) end() (version[*v1alpha1.TaskGroup], bool) {
	return g.life.when(func(v version[*v1alpha1.TaskGroup]) bool { return finished(v.obj) })
}

func (g *group) name() string {
	tg := g.life.first().obj
	return tg.Namespace + "/" + tg.Name + " (" + string(tg.UID) + ")"
}

func (g *group) violation(before, after int64, message string) Violation {
	return Violation{Group: g.name(), Before: before, After: after, Message: message}
}

// job is the life of one Job; of is nil where it is not a TaskGroup's.
type job struct {
	uid     types.UID
	name    string
	attempt string
	life    timeline[*batchv1.Job]
	of      *group
}

type pod struct {
	name string
	job  types.UID
	// index is the index of an Indexed Job's pod; empty for the only pod.
	index string
	life  timeline[*corev1.Pod]
}

// live reports whether the pod existed at a revision and had not finished.
func (p *pod) live(revision int64) bool {
	v, ok := p.life.at(revision)
	return ok && !podEnded(v.obj)
}

// index finds what belongs together in a history.
type index struct {
	*History
	opts   Options
	groups []*group
	jobs   []*job
}

func newIndex(h *History, opts Options) *index {
	ix := &index{History: h, opts: opts}
	groups, groupOrder := lives[*v1alpha1.TaskGroup](h)
	jobs, jobOrder := lives[*batchv1.Job](h)
	pods, podOrder := lives[*corev1.Pod](h)
	byUID := map[types.UID]*group{}
	for _, uid := range groupOrder {
		byUID[uid] = &group{uid: uid, life: groups[uid]}
		ix.groups = append(ix.groups, byUID[uid])
	}
	for _, uid := range jobOrder {
		// What it was made as: a deletion that orphans takes the owner away.
		made := jobs[uid].first().obj
		j := &job{uid: uid, name: made.Name, attempt: made.Labels[v1alpha1.AttemptLabel], life: jobs[uid]}
		if owner := metav1.GetControllerOf(made); owner != nil {
			if j.of = byUID[owner.UID]; j.of != nil {
				j.of.jobs = append(j.of.jobs, j)
			}
		}
		ix.jobs = append(ix.jobs, j)
	}
	for _, uid := range podOrder {
		made := pods[uid].first().obj
		owner := metav1.GetControllerOf(made)
		of := byUID[types.UID(made.Labels[v1alpha1.UIDLabel])]
		if owner == nil || of == nil {
			continue
		}
		of.pods = append(of.pods, &pod{
			name: made.Name, job: owner.UID, index: made.Annotations[batchv1.JobCompletionIndexAnnotation], life: pods[uid],
		})
	}
	return ix
}

// lives gathers the versions of each object of a kind.
func lives[T client.Object](h *History) (byUID map[types.UID]timeline[T], order []types.UID) {
	byUID = map[types.UID]timeline[T]{}
	for _, e := range h.Events {
		obj, ok := e.Object.(T)
		if !ok {
			continue
		}
		uid := obj.GetUID()
		if byUID[uid] == nil {
			order = append(order, uid)
		}
		byUID[uid] = append(byUID[uid], version[T]{revision: e.Revision, at: e.At, gone: e.Type == watch.Deleted, obj: obj})
	}
	return byUID, order
}

func podEnded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func jobHas(j *batchv1.Job, conditions ...batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		for _, want := range conditions {
			if c.Type == want && c.Status == corev1.ConditionTrue {
				return true
			}
		}
	}
	return false
}

// jobFinished reports whether the Job controller starts no further pod.
func jobFinished(j *batchv1.Job) bool { return jobHas(j, batchv1.JobComplete, batchv1.JobFailed) }

func finished(tg *v1alpha1.TaskGroup) bool {
	return tg.Status.IsFinished()
}

// verdict is the condition that reports how a group is.
func verdict(tg *v1alpha1.TaskGroup) metav1.Condition {
	if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func hasReason(tg *v1alpha1.TaskGroup, reason v1alpha1.Reason) bool {
	return finished(tg) && verdict(tg).Reason == string(reason)
}
