// SPDX-License-Identifier: Apache-2.0

package submission

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Changes are what a new group has other than the previous one. An empty one is
// left as it was.
type Changes struct {
	Image, Memory, CPU string
}

// suffix is what Again appends to a name.
var suffix = regexp.MustCompile(`-r[1-9][0-9]*$`)

// Again is a new group with the spec of a previous one, under a name that is not
// taken.
func Again(former *v1alpha1.TaskGroup, changes *Changes, taken func(name string) bool) (*v1alpha1.TaskGroup, error) {
	again := &v1alpha1.TaskGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: former.Namespace, Name: nextName(former.Name, taken), Labels: maps.Clone(former.Labels),
		},
		Spec: *former.Spec.DeepCopy(),
	}
	again.Spec.Cancel, again.Spec.Suspend = false, false
	// With these, the dispatcher would attribute the new group to the workflow.
	again.Spec.DispatchID, again.Spec.Callback = "", nil
	delete(again.Labels, v1alpha1.DispatchLabel)
	delete(again.Labels, v1alpha1.DispatcherLabel)
	return again, changes.apply(&again.Spec)
}

// nextName counts on from a name: g, g-r1, g-r2.
func nextName(former string, taken func(string) bool) string {
	base := suffix.ReplaceAllString(former, "")
	for n := 1; ; n++ {
		end := fmt.Sprintf("-r%d", n)
		cut := min(len(base), validation.DNS1123SubdomainMaxLength-len(end))
		if name := strings.TrimRight(base[:cut], "-.") + end; !taken(name) {
			return name
		}
	}
}

func (c *Changes) apply(spec *v1alpha1.TaskGroupSpec) error {
	if *c == (Changes{}) {
		return nil
	}
	if spec.Pod == nil {
		spec.Pod = &v1alpha1.PodOptions{}
	}
	if c.Image != "" {
		spec.Pod.Image = c.Image
	}
	if c.Memory == "" && c.CPU == "" {
		return nil
	}
	if spec.Pod.Resources == nil {
		spec.Pod.Resources = &v1alpha1.Resources{}
	}
	return setResources(spec.Pod.Resources, c.Memory, c.CPU)
}

// setResources sets the request of both, and the limit of memory: a processor
// is shared, memory is not.
func setResources(into *v1alpha1.Resources, memory, cpu string) error {
	set := func(list *v1alpha1.Amounts, name corev1.ResourceName, amount resource.Quantity) {
		if *list == nil {
			*list = v1alpha1.Amounts{}
		}
		(*list)[name] = v1alpha1.AmountOf(amount)
	}
	if memory != "" {
		amount, err := positive("--memory", memory)
		if err != nil {
			return err
		}
		set(&into.Requests, corev1.ResourceMemory, amount)
		set(&into.Limits, corev1.ResourceMemory, amount)
	}
	if cpu != "" {
		amount, err := positive("--cpu", cpu)
		if err != nil {
			return err
		}
		set(&into.Requests, corev1.ResourceCPU, amount)
		if limit, ok := into.Limits.ResourceList()[corev1.ResourceCPU]; ok && limit.Cmp(amount) < 0 {
			set(&into.Limits, corev1.ResourceCPU, amount)
		}
	}
	return nil
}

func positive(flag, text string) (resource.Quantity, error) {
	amount, err := resource.ParseQuantity(text)
	if err != nil || amount.Sign() <= 0 {
		return amount, fmt.Errorf("%s is an amount such as 512Mi or 500m, not %q", flag, text)
	}
	return amount, nil
}
