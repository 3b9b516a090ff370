// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// list returns a list of resources from names and amounts.
func list(pairs ...string) corev1.ResourceList {
	amounts := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		amounts[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return amounts
}

// amounts returns the amounts of the same list.
func amounts(pairs ...string) v1alpha1.Amounts { return v1alpha1.AmountsOf(list(pairs...)) }

// TestInitContainerResources requires that the init container changes neither what a
// quota accepts, nor the pod's QoS class, nor what the pod needs.
func TestInitContainerResources(t *testing.T) {
	cases := map[string]struct {
		resources *v1alpha1.Resources
		want      corev1.ResourceRequirements
		wantQOS   corev1.PodQOSClass
	}{
		"requests and limits of both": {
			&v1alpha1.Resources{Requests: amounts("cpu", "1", "memory", "1Gi"), Limits: amounts("cpu", "1", "memory", "1Gi")},
			corev1.ResourceRequirements{Requests: list("cpu", "1", "memory", "1Gi"), Limits: list("cpu", "1", "memory", "1Gi")},
			corev1.PodQOSGuaranteed,
		},
		"limits of both": {
			&v1alpha1.Resources{Limits: amounts("cpu", "2", "memory", "1Gi", "nvidia.com/gpu", "1")},
			corev1.ResourceRequirements{Limits: list("cpu", "2", "memory", "1Gi")},
			corev1.PodQOSGuaranteed,
		},
		"requests only": {
			&v1alpha1.Resources{Requests: amounts("cpu", "100m", "memory", "64Mi", "ephemeral-storage", "1Gi")},
			corev1.ResourceRequirements{Requests: list("cpu", "100m", "memory", "64Mi")},
			corev1.PodQOSBurstable,
		},
		"a memory limit": {
			&v1alpha1.Resources{Limits: amounts("memory", "64Mi")},
			corev1.ResourceRequirements{Limits: list("memory", "64Mi")},
			corev1.PodQOSBurstable,
		},
		"a GPU": {
			&v1alpha1.Resources{Limits: amounts("nvidia.com/gpu", "1")},
			corev1.ResourceRequirements{Requests: list("cpu", "10m", "memory", "32Mi")},
			corev1.PodQOSBurstable,
		},
		"none": {nil, corev1.ResourceRequirements{}, corev1.PodQOSBestEffort},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := readTaskGroup(t, "testdata/commands.input.yaml")
			tg.Spec.Pod = &v1alpha1.PodOptions{Resources: tc.resources}
			cfg := testConfig
			cfg.Delivery = InitContainer
			job, err := Job(tg, Attempt{Number: 1}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			spec := &job.Spec.Template.Spec
			if diff := cmp.Diff(tc.want, spec.InitContainers[0].Resources); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			if missing := missingForQuota(spec); len(missing) > 0 {
				t.Errorf("a quota refuses the pod: %v", missing)
			}
			if got := qosClass(spec); got != tc.wantQOS {
				t.Errorf("QoS class %s, want %s", got, tc.wantQOS)
			}
		})
	}
}

// missingForQuota returns what the quota evaluator of pods reports as "must specify"
// (k8s.io/kubernetes/pkg/quota/v1/evaluator/core, Constraints) where a quota limits
// exactly what the container of the tasks has.
func missingForQuota(spec *corev1.PodSpec) (missing []string) {
	tasks := effective(&spec.Containers[0])
	for i := range spec.InitContainers {
		init := effective(&spec.InitContainers[i])
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if _, ok := tasks.Requests[name]; ok && init.Requests.Name(name, resource.DecimalSI).IsZero() {
				missing = append(missing, fmt.Sprintf("requests.%s for: %s", name, spec.InitContainers[i].Name))
			}
			if _, ok := tasks.Limits[name]; ok && init.Limits.Name(name, resource.DecimalSI).IsZero() {
				missing = append(missing, fmt.Sprintf("limits.%s for: %s", name, spec.InitContainers[i].Name))
			}
		}
	}
	return missing
}

// qosClass does what k8s.io/kubernetes/pkg/apis/core/v1/helper/qos, ComputePodQOS, does.
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	guaranteed, any := true, false
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			resources := effective(&containers[i])
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, requested := resources.Requests[name]
				limit, limited := resources.Limits[name]
				any = any || requested || limited
				guaranteed = guaranteed && limited && request.Cmp(limit) == 0
			}
		}
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}

// effective sets requests from limits, as the API server does.
func effective(container *corev1.Container) corev1.ResourceRequirements {
	resources := *container.Resources.DeepCopy()
	for name, limit := range resources.Limits {
		if _, ok := resources.Requests[name]; !ok {
			if resources.Requests == nil {
				resources.Requests = corev1.ResourceList{}
			}
			resources.Requests[name] = limit
		}
	}
	return resources
}

// TestMemoryGrowth renders the attempt after some attempts that were OOM-killed.
func TestMemoryGrowth(t *testing.T) {
	cases := map[string]struct {
		resources *v1alpha1.Resources
		most      string
		attempt   Attempt
		want      corev1.ResourceRequirements
	}{
		"grows once for each": {
			&v1alpha1.Resources{Requests: amounts("memory", "64Mi"), Limits: amounts("memory", "100Mi")}, "",
			Attempt{Number: 3, OOMs: 2},
			corev1.ResourceRequirements{Requests: list("memory", "256Mi"), Limits: list("memory", "400Mi")},
		},
		"does not grow without one": {
			&v1alpha1.Resources{Limits: amounts("memory", "100Mi")}, "",
			Attempt{Number: 2, MemoryLimit: new(resource.MustParse("100Mi"))},
			corev1.ResourceRequirements{Limits: list("memory", "100Mi")},
		},
		"stops at oomMemoryMax": {
			&v1alpha1.Resources{Requests: amounts("memory", "1Gi"), Limits: amounts("memory", "8Gi")}, "20Gi",
			Attempt{Number: 11, OOMs: 10},
			corev1.ResourceRequirements{Requests: list("memory", "20Gi"), Limits: list("memory", "20Gi")},
		},
		"does not shrink to oomMemoryMax": {
			&v1alpha1.Resources{Limits: amounts("memory", "8Gi")}, "4Gi",
			Attempt{Number: 2, OOMs: 1},
			corev1.ResourceRequirements{Limits: list("memory", "8Gi")},
		},
		"grows from the limit of a LimitRange": {
			nil, "", Attempt{Number: 2, OOMs: 1, MemoryLimit: new(resource.MustParse("512Mi"))},
			corev1.ResourceRequirements{Limits: list("memory", "1Gi")},
		},
		"grows from the grown limit of a LimitRange": {
			&v1alpha1.Resources{Limits: amounts("cpu", "1")}, "", Attempt{Number: 3, OOMs: 2, MemoryLimit: new(resource.MustParse("1Gi"))},
			corev1.ResourceRequirements{Limits: list("cpu", "1", "memory", "2Gi")},
		},
		"the spec's limit takes precedence": {
			&v1alpha1.Resources{Limits: amounts("memory", "100Mi")}, "", Attempt{Number: 2, OOMs: 1, MemoryLimit: new(resource.MustParse("1Gi"))},
			corev1.ResourceRequirements{Limits: list("memory", "200Mi")},
		},
		"oomMemoryMax bounds the limit of a LimitRange too": {
			nil, "768Mi", Attempt{Number: 2, OOMs: 1, MemoryLimit: new(resource.MustParse("512Mi"))},
			corev1.ResourceRequirements{Limits: list("memory", "768Mi")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := readTaskGroup(t, "testdata/commands.input.yaml")
			tg.Spec.Pod = &v1alpha1.PodOptions{Resources: tc.resources}
			tg.Spec.Retries = &v1alpha1.Retries{Limit: 10, OOMMemoryFactor: "2", OOMMemoryMax: tc.most}
			job, err := Job(tg, tc.attempt, testConfig)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, job.Spec.Template.Spec.Containers[0].Resources); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
		})
	}
}
