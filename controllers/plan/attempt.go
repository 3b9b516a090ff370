package plan

import (
	"fmt"
	"hash/fnv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

const (
	// maxJobs is the bound of status.jobs; the oldest are forgotten first.
	maxJobs = 32
	// maxAttemptMessage is the bound of status.jobs[].message, in bytes.
	maxAttemptMessage = 1024

	// firstBackoff doubles with every retry up to maxBackoff. Half of it is
	// jitter, so that groups that failed together do not come back together.
	firstBackoff = 2 * time.Second
	maxBackoff   = 5 * time.Minute

	// suspendedAttempt is the reason of an attempt that spec.suspend stopped; it
	// is no failure and spends no budget.
	suspendedAttempt = v1alpha1.ReasonSuspended
)

// LastJob is the newest attempt that the status knows; nil before the first.
func LastJob(status *v1alpha1.TaskGroupStatus) *v1alpha1.JobReference {
	if len(status.Jobs) == 0 {
		return nil
	}
	return &status.Jobs[len(status.Jobs)-1]
}

// CurrentAttempt is the attempt that runs or is to be made next.
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

// AttemptOf is what an attempt takes over from those before it.
func AttemptOf(tg *v1alpha1.TaskGroup, number int32) jobspec.Attempt {
	attempt := jobspec.Attempt{Number: number}
	if tg.Status.Retries != nil {
		attempt.OOMs = tg.Status.Retries.OOM
	}
	if tg.Spec.Execution == v1alpha1.Parallel {
		attempt.Done = doneTasks(tg)
		return attempt
	}
	for _, job := range tg.Status.Jobs {
		if job.Attempt >= number || job.ManifestSHA256 == "" {
			continue
		}
		// The newest one wins: it took over the records of those before it.
		attempt.Previous = &contract.ManifestReference{
			URI:    contract.ManifestURI(jobspec.AttemptURI(tg, job.Attempt)),
			SHA256: job.ManifestSHA256,
		}
	}
	return attempt
}

// doneTasks are the tasks that a Parallel group's earlier attempts completed.
func doneTasks(tg *v1alpha1.TaskGroup) map[v1alpha1.NodeID]bool {
	done := map[v1alpha1.NodeID]bool{}
	for i := range tg.Status.Tasks {
		if tg.Status.Tasks[i].State == v1alpha1.TaskCompleted {
			done[tg.Status.Tasks[i].NodeID] = true
		}
	}
	return done
}

// mayRetry says whether a budget has room for another attempt.
func mayRetry(tg *v1alpha1.TaskGroup, reason v1alpha1.Reason) bool {
	if !reason.Info().Retryable {
		return false
	}
	spent := v1alpha1.RetryCounts{}
	if tg.Status.Retries != nil {
		spent = *tg.Status.Retries
	}
	if reason.Info().Source == v1alpha1.SourceInfrastructure {
		limit := v1alpha1.DefaultInfrastructureRetries
		if r := tg.Spec.Retries; r != nil && r.InfrastructureLimit != nil {
			limit = *r.InfrastructureLimit
		}
		return spent.Infrastructure < limit
	}
	return tg.Spec.Retries != nil && spent.User < tg.Spec.Retries.Limit
}

// spend counts a retry.
func spend(status *v1alpha1.TaskGroupStatus, reason v1alpha1.Reason) {
	counts := v1alpha1.RetryCounts{}
	if status.Retries != nil {
		counts = *status.Retries
	}
	if reason.Info().Source == v1alpha1.SourceInfrastructure {
		counts.Infrastructure++
	} else {
		counts.User++
	}
	if reason == v1alpha1.ReasonOOMKilled {
		counts.OOM++
	}
	status.Retries = &counts
}

// retryAt is when the next attempt may begin. It rests on what the status holds
// and nothing else, so a restart of the operator neither forgets nor repeats it.
func retryAt(group types.UID, status *v1alpha1.TaskGroupStatus) time.Time {
	last := LastJob(status)
	if last == nil || last.CompletionTime == nil || last.Reason == suspendedAttempt {
		return time.Time{}
	}
	retries := int32(1)
	if r := status.Retries; r != nil {
		retries = r.User + r.Infrastructure
	}
	backoff := maxBackoff
	if shift := retries - 1; shift < 8 {
		backoff = min(maxBackoff, firstBackoff<<max(shift, 0))
	}
	hash := fnv.New32a()
	fmt.Fprintf(hash, "%s/%d", group, last.Attempt)
	jitter := time.Duration(hash.Sum32()%1000) * backoff / 2000
	return last.CompletionTime.Add(backoff/2 + jitter)
}

// closeAttempt notes in the status why the newest attempt ended.
func closeAttempt(status *v1alpha1.TaskGroupStatus, reason v1alpha1.Reason, message, manifest string, now time.Time) {
	last := LastJob(status)
	if last == nil {
		return
	}
	last.Reason = reason
	last.Message = contract.Truncate(oneLine(message), maxAttemptMessage)
	last.CompletionTime = &metav1.Time{Time: now}
	if manifest != "" {
		last.ManifestSHA256 = manifest
	}
}
