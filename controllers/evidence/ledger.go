// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// livePodsTime is how long pods that were read live take precedence over the cache.
const livePodsTime = 2 * time.Second

// Ledger records what this process observed of unfinished groups and neither the
// cache nor the status contains. Its zero value is ready to use.
//
// Correctness does not depend on its survival: a new process finds the Job by its
// name, or by the events that outlive it, and a pod that was deleted while no
// operator ran has left its manifest in the store.
type Ledger struct {
	mu     sync.Mutex
	groups map[types.NamespacedName]*entry
}

// entry is the facts about one group.
type entry struct {
	// group is the UID that all facts are about. A group of the same name that is
	// created later starts with no facts.
	group types.UID

	job        jobFact
	terminated []*corev1.Pod
	live       livePodsFact
	status     *v1alpha1.TaskGroup
	progressAt time.Time
	certain    Epoch
	quietSince time.Time
	errorSince map[types.UID]time.Time
	lookups    map[types.UID]*Lookup
}

// jobFact is the Job of the newest attempt that this process created or found one
// for.
type jobFact struct {
	attempt int32
	uid     types.UID
	// createdAt is when this process created it; zero if it found it.
	createdAt time.Time
}

// livePodsFact is the pods of a group as a live read returned them.
type livePodsFact struct {
	readAt          time.Time
	resourceVersion string
	pods            []*corev1.Pod
}

// Lookup is the state of reading the warning events about a Job or pod.
type Lookup struct {
	// Reads is how often the events were read.
	Reads int
	// NextAt is when they are to be read again.
	NextAt time.Time
	// Message is the newest warning; empty for none.
	Message string
}

// entryOf returns the facts about a group, or starts with none. The lock is held.
func (l *Ledger) entryOf(name types.NamespacedName, group types.UID) *entry {
	if known := l.groups[name]; known != nil && known.group == group {
		return known
	}
	if l.groups == nil {
		l.groups = make(map[types.NamespacedName]*entry)
	}
	fresh := &entry{group: group}
	l.groups[name] = fresh
	return fresh
}

// of is entryOf for an object. The lock is held.
func (l *Ledger) of(tg *v1alpha1.TaskGroup) *entry {
	return l.entryOf(client.ObjectKeyFromObject(tg), tg.UID)
}

// RecordJob records the Job of an attempt that was found.
func (l *Ledger) RecordJob(tg *v1alpha1.TaskGroup, attempt int32, job types.UID) {
	l.RecordCreatedJob(tg, attempt, job, time.Time{})
}

// RecordCreatedJob records the Job of an attempt that this process created.
func (l *Ledger) RecordCreatedJob(tg *v1alpha1.TaskGroup, attempt int32, job types.UID, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(tg).job = jobFact{attempt: attempt, uid: job, createdAt: now}
}

// CreatedWithin reports whether this process created a Job less than age ago.
func (l *Ledger) CreatedWithin(tg *v1alpha1.TaskGroup, job types.UID, age time.Duration, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.of(tg).job
	return known.uid == job && now.Sub(known.createdAt) < age
}

// MarkCertain records the epoch in which a group is known to have no Job that is
// not recorded; 0 for none.
func (l *Ledger) MarkCertain(name types.NamespacedName, group types.UID, epoch Epoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entryOf(name, group).certain = epoch
}

// Certain returns what MarkCertain recorded; 0 for nothing.
func (l *Ledger) Certain(tg *v1alpha1.TaskGroup) Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(tg).certain
}

// QuietFor returns for how long no running pod of a cancelled group was seen; 0 at
// the first call.
func (l *Ledger) QuietFor(tg *v1alpha1.TaskGroup, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.of(tg)
	if known.quietSince.IsZero() {
		known.quietSince = now
	}
	return now.Sub(known.quietSince)
}

// RecordRunningPod records that a pod of the group runs.
func (l *Ledger) RecordRunningPod(tg *v1alpha1.TaskGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(tg).quietSince = time.Time{}
}

// RecordTerminatedPod keeps a pod that had terminated when it was deleted. That may
// be milliseconds after its termination message was written, before any pass reads
// it.
func (l *Ledger) RecordTerminatedPod(group types.NamespacedName, pod *corev1.Pod) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.entryOf(group, types.UID(pod.Labels[v1alpha1.UIDLabel]))
	known.terminated = append(known.terminated, pod)
}

// Recall returns the UID of the Job recorded for an attempt of this very object, if
// any, and the object's pods that terminated and were deleted.
func (l *Ledger) Recall(tg *v1alpha1.TaskGroup, attempt int32) (job types.UID, pods []*corev1.Pod) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.groups[client.ObjectKeyFromObject(tg)]
	if known == nil || known.group != tg.UID {
		return "", nil
	}
	if known.job.attempt == attempt {
		job = known.job.uid
	}
	return job, known.terminated
}

// RecordStatus keeps an object whose status this process wrote.
func (l *Ledger) RecordStatus(tg *v1alpha1.TaskGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(tg).status = tg
}

// Newest returns the cached object, or the newer one that this process wrote: a
// decision based on the older one would end in a conflict.
func (l *Ledger) Newest(cached *v1alpha1.TaskGroup) *v1alpha1.TaskGroup {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.groups[client.ObjectKeyFromObject(cached)]
	if known == nil || known.group != cached.UID || known.status == nil {
		return cached
	}
	order, err := resourceversion.CompareResourceVersion(known.status.ResourceVersion, cached.ResourceVersion)
	if err != nil || order <= 0 {
		known.status = nil
		return cached
	}
	return known.status
}

// ProgressWait returns how long the next write of progress has to wait; 0 for not
// at all, and then it records the write.
func (l *Ledger) ProgressWait(tg *v1alpha1.TaskGroup, now time.Time, interval time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.of(tg)
	if wait := interval - now.Sub(known.progressAt); wait > 0 && wait <= interval {
		return wait
	}
	known.progressAt = now
	return 0
}

// StartErrors returns when the start error of each of the pods was first observed,
// by the pod's UID, and forgets the errors that are over.
func (l *Ledger) StartErrors(tg *v1alpha1.TaskGroup, pods []*corev1.Pod, hasError func(*corev1.Pod) bool, now time.Time) map[types.UID]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var since map[types.UID]time.Time
	if known := l.groups[client.ObjectKeyFromObject(tg)]; known == nil && !slices.ContainsFunc(pods, hasError) {
		return nil
	}
	known := l.of(tg)
	for _, pod := range pods {
		if !hasError(pod) {
			continue
		}
		if since == nil {
			since = map[types.UID]time.Time{}
		}
		since[pod.UID] = now
		if first, ok := known.errorSince[pod.UID]; ok {
			since[pod.UID] = first
		}
	}
	known.errorSince = since
	return since
}

// LookupOf returns the state of reading the warnings about an object of a group. The
// caller must reconcile the group, which no two goroutines do at once.
func (l *Ledger) LookupOf(tg *v1alpha1.TaskGroup, object types.UID) *Lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.of(tg)
	if known.lookups == nil {
		known.lookups = map[types.UID]*Lookup{}
	}
	if known.lookups[object] == nil {
		known.lookups[object] = &Lookup{}
	}
	return known.lookups[object]
}

// RecordLivePods records the pods of a live read that contradict the cache.
func (l *Ledger) RecordLivePods(tg *v1alpha1.TaskGroup, list *corev1.PodList, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fact := livePodsFact{readAt: now, resourceVersion: list.ResourceVersion}
	for i := range list.Items {
		fact.pods = append(fact.pods, &list.Items[i])
	}
	l.of(tg).live = fact
}

// NewestPods returns the cached pods, corrected by a live read of the last seconds
// that contradicted them.
func (l *Ledger) NewestPods(tg *v1alpha1.TaskGroup, cached []*corev1.Pod, now time.Time) []*corev1.Pod {
	l.mu.Lock()
	known := l.groups[client.ObjectKeyFromObject(tg)]
	if known == nil || known.group != tg.UID || known.live.readAt.IsZero() || now.Sub(known.live.readAt) > livePodsTime {
		l.mu.Unlock()
		return cached
	}
	fact := known.live
	l.mu.Unlock()
	return fact.correct(cached)
}

// correct merges cached pods with the live ones: the newer version of each counts. A
// cached pod that the live read lacks was deleted, unless it was created later.
func (f *livePodsFact) correct(cached []*corev1.Pod) []*corev1.Pod {
	known := make(map[types.UID]*corev1.Pod, len(cached))
	for _, pod := range cached {
		known[pod.UID] = pod
	}
	pods := make([]*corev1.Pod, 0, len(f.pods))
	for _, pod := range f.pods {
		if other := known[pod.UID]; other != nil && isNewer(other.ResourceVersion, pod.ResourceVersion) {
			pod = other
		}
		delete(known, pod.UID)
		pods = append(pods, pod)
	}
	for _, pod := range cached {
		if known[pod.UID] != nil && isNewer(pod.ResourceVersion, f.resourceVersion) {
			pods = append(pods, pod)
		}
	}
	return pods
}

func isNewer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// Forget drops the facts about a group.
func (l *Ledger) Forget(name types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.groups, name)
}

// Len returns the number of groups with facts.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.groups)
}
