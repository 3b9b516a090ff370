package controllers

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// memory holds what this process knows of groups that have not ended and that
// neither the cache nor the status can tell: the Job it created a moment ago, and
// the last words of pods that are gone. Its zero value is ready to use.
//
// Nothing depends on it surviving: a new process finds the Job by its name, or by
// the events that outlive it, and a pod that went while no operator looked left
// its manifest in the store.
type memory struct {
	mu     sync.Mutex
	groups map[types.NamespacedName]*remembered
}

type remembered struct {
	// group is the UID that it is all about; a group of the same name that is
	// created later starts from nothing.
	group types.UID
	// job is that of the newest attempt that this process made one for.
	job     types.UID
	attempt int32
	// jobAt is when it was created, by the stopwatch.
	jobAt time.Time
	pods  []*corev1.Pod
	// written is the object as the last write of its status returned it; nil once the
	// cache has it.
	written *v1alpha1.TaskGroup
	// progressAt is when progress was last written.
	progressAt time.Time
	// vouched is the epoch in which it is known that no Job but job was created.
	vouched epoch
	// quietSince is when no pod was first seen to run after a cancellation.
	quietSince time.Time
}

// of returns what is remembered of a group, or starts anew. The lock is held.
func (m *memory) of(name types.NamespacedName, group types.UID) *remembered {
	if known := m.groups[name]; known != nil && known.group == group {
		return known
	}
	if m.groups == nil {
		m.groups = make(map[types.NamespacedName]*remembered)
	}
	fresh := &remembered{group: group}
	m.groups[name] = fresh
	return fresh
}

// rememberJob keeps the UID of the Job of an attempt.
func (m *memory) rememberJob(tg *v1alpha1.TaskGroup, attempt int32, job types.UID) {
	m.rememberCreated(tg, attempt, job, time.Time{})
}

// rememberCreated is rememberJob of one that was created just now.
func (m *memory) rememberCreated(tg *v1alpha1.TaskGroup, attempt int32, job types.UID, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(client.ObjectKeyFromObject(tg), tg.UID)
	known.attempt, known.job, known.jobAt = attempt, job, now
}

// createdWithin says whether a Job was created so short a time ago.
func (m *memory) createdWithin(tg *v1alpha1.TaskGroup, job types.UID, age time.Duration, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(client.ObjectKeyFromObject(tg), tg.UID)
	return known.job == job && now.Sub(known.jobAt) < age
}

// vouch notes the epoch in which a group is known to have no Job that is not
// remembered.
func (m *memory) vouch(name types.NamespacedName, group types.UID, now epoch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(name, group).vouched = now
}

// vouchedIn returns what vouch noted; 0 for nothing.
func (m *memory) vouchedIn(tg *v1alpha1.TaskGroup) epoch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(client.ObjectKeyFromObject(tg), tg.UID).vouched
}

// quietFor returns for how long no pod of a group has run, as far as was looked;
// 0 at the first look.
func (m *memory) quietFor(tg *v1alpha1.TaskGroup, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(client.ObjectKeyFromObject(tg), tg.UID)
	if known.quietSince.IsZero() {
		known.quietSince = now
	}
	return now.Sub(known.quietSince)
}

// unquiet notes that a pod of the group runs.
func (m *memory) unquiet(tg *v1alpha1.TaskGroup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(client.ObjectKeyFromObject(tg), tg.UID).quietSince = time.Time{}
}

// rememberPod keeps a pod that had ended when it was deleted. A pod may go
// milliseconds after its runner's record was written, before any pass sees it.
func (m *memory) rememberPod(group types.NamespacedName, pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(group, types.UID(pod.Labels[v1alpha1.UIDLabel]))
	known.pods = append(known.pods, pod)
}

// recall returns the UID of the Job created for an attempt of this very object,
// if any, and the object's pods that ended and are gone.
func (m *memory) recall(tg *v1alpha1.TaskGroup, attempt int32) (job types.UID, pods []*corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.groups[client.ObjectKeyFromObject(tg)]
	if known == nil || known.group != tg.UID {
		return "", nil
	}
	if known.attempt == attempt {
		job = known.job
	}
	return job, known.pods
}

// rememberWritten keeps an object that this process wrote.
func (m *memory) rememberWritten(tg *v1alpha1.TaskGroup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(client.ObjectKeyFromObject(tg), tg.UID).written = tg
}

// newest returns the cached object, or the one that this process wrote since:
// deciding on what was overwritten ends in a conflict, which is a write for
// nothing.
func (m *memory) newest(cached *v1alpha1.TaskGroup) *v1alpha1.TaskGroup {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.groups[client.ObjectKeyFromObject(cached)]
	if known == nil || known.group != cached.UID || known.written == nil {
		return cached
	}
	order, err := resourceversion.CompareResourceVersion(known.written.ResourceVersion, cached.ResourceVersion)
	if err != nil || order <= 0 {
		known.written = nil
		return cached
	}
	return known.written
}

// progress returns how long the next write of progress has to wait; 0 for now,
// which it notes.
func (m *memory) progress(tg *v1alpha1.TaskGroup, now time.Time, interval time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(client.ObjectKeyFromObject(tg), tg.UID)
	if wait := interval - now.Sub(known.progressAt); wait > 0 && wait <= interval {
		return wait
	}
	known.progressAt = now
	return 0
}

func (m *memory) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.groups, name)
}
