// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"hash/fnv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

const (
	// maxJobs is the bound of status.jobs.
	maxJobs = 32
	// maxAttemptMessage is the bound of status.jobs[].message, in bytes.
	maxAttemptMessage = 1024

	// firstBackoff doubles with every retry up to maxBackoff. Half of it is jitter,
	// so that groups that failed together are not retried together.
	firstBackoff = 2 * time.Second
	maxBackoff   = 5 * time.Minute
)

// LastJob is the newest attempt in the status; nil before the first.
func LastJob(status *v1alpha1.TaskGroupStatus) *v1alpha1.JobReference {
	if len(status.Jobs) == 0 {
		return nil
	}
	return &status.Jobs[len(status.Jobs)-1]
}

// CurrentAttempt is the attempt that is active or will be created next.
func CurrentAttempt(status *v1alpha1.TaskGroupStatus) int32 {
	last := LastJob(status)
	switch {
	case last == nil:
		return 1
	case last.Reason == "":
		return last.Attempt
	default:
		return last.Attempt + 1
	}
}

// AttemptOf returns what an attempt takes over from the previous ones.
func AttemptOf(tg *v1alpha1.TaskGroup, number int32) jobspec.Attempt {
	attempt := kindOf(tg).takeOver(tg, number)
	attempt.Number = number
	if tg.Status.Retries != nil {
		attempt.OOMs = tg.Status.Retries.OOM
	}
	for i := range tg.Status.Jobs {
		if limit, err := resource.ParseQuantity(tg.Status.Jobs[i].MemoryLimit); err == nil {
			attempt.MemoryLimit = &limit
		}
	}
	return attempt
}

// spentBy is what a group has spent of its budgets.
func spentBy(status *v1alpha1.TaskGroupStatus) v1alpha1.RetryCounts {
	if status.Retries == nil {
		return v1alpha1.RetryCounts{}
	}
	return *status.Retries
}

// mayRetry reports whether a failure is followed by another attempt. spent is what
// was spent before, by the group or by one task of a Parallel group.
func mayRetry(tg *v1alpha1.TaskGroup, spent v1alpha1.RetryCounts, v verdict) bool {
	switch info := v.reason.Info(); {
	case v.succeeded:
		return false
	case v.unspent:
		return true
	case v.permanent || !info.Retryable:
		return false
	case v.isInfrastructure():
		limit := v1alpha1.DefaultInfrastructureRetries
		if r := tg.Spec.Retries; r != nil && r.InfrastructureLimit != nil {
			limit = *r.InfrastructureLimit
		}
		return spent.Infrastructure < limit
	default:
		return tg.Spec.Retries != nil && spent.User < tg.Spec.Retries.Limit
	}
}

// isInfrastructure reports whether a retry spends the budget for infrastructure.
func (v verdict) isInfrastructure() bool {
	if v.source != "" {
		return v.source == v1alpha1.SourceInfrastructure
	}
	return v.reason.Info().Source == v1alpha1.SourceInfrastructure
}

// add counts the retry of a failure.
func add(counts *v1alpha1.RetryCounts, v verdict) {
	if v.unspent {
		return
	}
	if v.isInfrastructure() {
		counts.Infrastructure++
	} else {
		counts.User++
	}
	if v.reason == v1alpha1.ReasonOOMKilled {
		counts.OOM++
	}
}

// retryAt is when the next attempt may start. It depends on the status alone, so a
// restart of the operator neither skips nor repeats the backoff.
func retryAt(group types.UID, status *v1alpha1.TaskGroupStatus) time.Time {
	last := LastJob(status)
	if last == nil || last.CompletionTime == nil || last.Reason == v1alpha1.ReasonSuspended {
		return time.Time{}
	}
	spent := spentBy(status)
	backoff := maxBackoff
	if shift := spent.User + spent.Infrastructure - 1; shift < 8 {
		backoff = min(maxBackoff, firstBackoff<<max(shift, 0))
	}
	hash := fnv.New32a()
	fmt.Fprintf(hash, "%s/%d", group, last.Attempt)
	jitter := time.Duration(hash.Sum32()%1000) * backoff / 2000
	return last.CompletionTime.Add(backoff/2 + jitter)
}

// retryMessage states why an attempt failed, and when the next one starts.
func retryMessage(o *Observed, status *v1alpha1.TaskGroupStatus, v verdict) string {
	return fmt.Sprintf("Attempt %d failed: %s: %s. The next attempt starts at %s", LastJob(status).Attempt, v.reason, v.message,
		retryAt(o.TaskGroup.UID, status).UTC().Format(time.TimeOnly+" MST"))
}

// closeAttempt records the result of the newest attempt; nothing if it is closed.
func closeAttempt(status *v1alpha1.TaskGroupStatus, v verdict, now time.Time) {
	last := LastJob(status)
	if last == nil || last.Reason != "" {
		return
	}
	last.Reason = v.reason
	last.Message = contract.Truncate(oneLine(v.message), maxAttemptMessage)
	last.CompletionTime = &metav1.Time{Time: now}
	last.MemoryLimit = v.memoryLimit
	if digest := digestOf(v); digest != "" {
		last.ManifestSHA256 = digest
	}
}

// appendJob adds an attempt. The oldest one is dropped, except for the newest one
// with a manifest, which the next attempt resumes from.
func appendJob(jobs []v1alpha1.JobReference, job v1alpha1.JobReference) []v1alpha1.JobReference {
	jobs = append(jobs, job)
	if len(jobs) <= maxJobs {
		return jobs
	}
	newest := -1
	for i := range jobs {
		if jobs[i].ManifestSHA256 != "" {
			newest = i
		}
	}
	drop := 0
	if newest == 0 {
		drop = 1
	}
	return append(jobs[:drop:drop], jobs[drop+1:]...)
}

// retryingStatus closes an attempt of a Sequential group, after which another one
// follows.
func retryingStatus(o *Observed, v verdict, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, o.attemptPod())
	closeAttempt(status, v, now)
	if !v.unspent {
		counts := spentBy(status)
		add(&counts, v)
		status.Retries = &counts
	}
	status.Tasks = pendingTasks(o, v.record)
	unfinished(status, v1alpha1.ReasonRetrying, retryMessage(o, status, v), now)
	return status
}
