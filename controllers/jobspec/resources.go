// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// taskResources returns the resources of the tasks' container in a first attempt. It
// returns a copy, because memory grows with the attempts of one group.
func taskResources(options *v1alpha1.PodOptions, cfg Config) corev1.ResourceRequirements {
	if options.Resources == nil {
		return *cfg.DefaultResources.DeepCopy()
	}
	return corev1.ResourceRequirements{
		Requests: options.Resources.Requests.ResourceList(),
		Limits:   options.Resources.Limits.ResourceList(),
		Claims:   options.Resources.Claims,
	}
}

// initCPU and initMemory are the requests of the init container of a pod that sets
// only other resources, such as GPUs.
var (
	initCPU    = resource.MustParse("10m")
	initMemory = resource.MustParse("32Mi")
)

// initResources returns the resources of the init container: the CPU and memory of
// the tasks' container. That costs nothing, because a pod needs the greater of both.
// A quota accepts a pod only if all of its containers have what the quota limits, and
// the pod's QoS class is Guaranteed only if all of its containers are.
func initResources(tasks *corev1.ResourceRequirements) corev1.ResourceRequirements {
	resources := corev1.ResourceRequirements{
		Requests: cpuAndMemory(tasks.Requests),
		Limits:   cpuAndMemory(tasks.Limits),
	}
	others := len(tasks.Requests) + len(tasks.Limits) + len(tasks.Claims)
	if len(resources.Requests) == 0 && len(resources.Limits) == 0 && others > 0 {
		resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU:    initCPU.DeepCopy(),
			corev1.ResourceMemory: initMemory.DeepCopy(),
		}
	}
	return resources
}

func cpuAndMemory(list corev1.ResourceList) corev1.ResourceList {
	var both corev1.ResourceList
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		amount, ok := list[name]
		if !ok {
			continue
		}
		if both == nil {
			both = corev1.ResourceList{}
		}
		both[name] = amount.DeepCopy()
	}
	return both
}

// growMemory multiplies the memory request and limit once for each attempt that was
// OOM-killed. Without a limit of the group, the new limit is a multiple of the
// effective limit of the pod that was OOM-killed last. The API server has checked the
// form of the factor and the maximum.
func growMemory(resources *corev1.ResourceRequirements, retries *v1alpha1.Retries, attempt Attempt) {
	if retries == nil || attempt.OOMs <= 0 {
		return
	}
	factor, err := strconv.ParseFloat(retries.OOMMemoryFactor, 64)
	if err != nil {
		return
	}
	var most *resource.Quantity
	if parsed, err := resource.ParseQuantity(retries.OOMMemoryMax); err == nil {
		most = &parsed
	}
	multiple := math.Pow(factor, float64(attempt.OOMs))
	for _, list := range []corev1.ResourceList{resources.Requests, resources.Limits} {
		if memory, ok := list[corev1.ResourceMemory]; ok {
			list[corev1.ResourceMemory] = grown(memory, multiple, most)
		}
	}
	if _, ok := resources.Limits[corev1.ResourceMemory]; !ok && attempt.MemoryLimit != nil {
		if resources.Limits == nil {
			resources.Limits = corev1.ResourceList{}
		}
		resources.Limits[corev1.ResourceMemory] = grown(*attempt.MemoryLimit, factor, most)
	}
}

// grown returns a multiple of an amount of memory, rounded up to a mebibyte. It is at
// most the maximum, if there is one, and at least the amount.
func grown(memory resource.Quantity, multiple float64, most *resource.Quantity) resource.Quantity {
	const mebibyte = 1 << 20
	bytes := math.Ceil(float64(memory.Value())*multiple/mebibyte) * mebibyte
	amount := *resource.NewQuantity(int64(math.Min(bytes, math.MaxInt64/2)), resource.BinarySI)
	if most != nil && amount.Cmp(*most) > 0 {
		amount = most.DeepCopy()
	}
	if amount.Cmp(memory) < 0 {
		return memory
	}
	return amount
}
