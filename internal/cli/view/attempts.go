// SPDX-License-Identifier: Apache-2.0

package view

import (
	"math"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Attempt is one Job of a group.
type Attempt struct {
	Number  int32
	Job     string
	Reason  v1alpha1.Reason
	Message string
	End     time.Time
	// Memory is the limit that the attempt had; empty where there was none, or
	// unknown.
	Memory string
}

// Attempts returns the attempts in the status, oldest first. Pods that are still
// there have their memory; that of the others follows from the spec.
func Attempts(tg *v1alpha1.TaskGroup, pods []corev1.Pod) []Attempt {
	limits := map[string]string{}
	for i := range pods {
		for _, container := range pods[i].Spec.Containers {
			if limit, ok := container.Resources.Limits[corev1.ResourceMemory]; ok {
				limits[pods[i].Labels[v1alpha1.AttemptLabel]] = limit.String()
			}
		}
	}
	attempts := make([]Attempt, 0, len(tg.Status.Jobs))
	outOfMemory := 0
	for i := range tg.Status.Jobs {
		job := &tg.Status.Jobs[i]
		memory, ok := limits[strconv.Itoa(int(job.Attempt))]
		// Where the first Jobs fell out of the status, so did the number of OOMs.
		if !ok && tg.Status.Jobs[0].Attempt == 1 {
			memory = memoryAfter(tg, outOfMemory)
		}
		attempts = append(attempts, Attempt{
			Number: job.Attempt, Job: job.Name, Reason: job.Reason, Message: job.Message,
			End: At(job.CompletionTime), Memory: memory,
		})
		if job.Reason == v1alpha1.ReasonOOMKilled {
			outOfMemory++
		}
	}
	return attempts
}

// memoryAfter is the limit of the attempt that follows so many that ran out of
// memory.
func memoryAfter(tg *v1alpha1.TaskGroup, outOfMemory int) string {
	if tg.Spec.Pod == nil || tg.Spec.Pod.Resources == nil {
		return ""
	}
	limit, ok := tg.Spec.Pod.Resources.Limits.ResourceList()[corev1.ResourceMemory]
	if !ok {
		return ""
	}
	if outOfMemory == 0 || tg.Spec.Retries == nil || tg.Spec.Retries.OOMMemoryFactor == "" {
		return limit.String()
	}
	factor, err := strconv.ParseFloat(tg.Spec.Retries.OOMMemoryFactor, 64)
	if err != nil {
		return limit.String()
	}
	grown := float64(limit.Value()) * math.Pow(factor, float64(outOfMemory))
	if grown > math.MaxInt64/2 {
		return limit.String()
	}
	amount := resource.NewQuantity(int64(math.Ceil(grown)), resource.BinarySI)
	if most, err := resource.ParseQuantity(tg.Spec.Retries.OOMMemoryMax); err == nil {
		if most.Cmp(limit) < 0 {
			most = limit
		}
		if amount.Cmp(most) > 0 {
			amount = &most
		}
	}
	return amount.String()
}
