// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"os"
	"regexp"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestEnvFromSetsNoVariableOfTheRunner requires an explicit value for every variable
// that the runner reads: a key of a ConfigMap must not set the runner's options.
func TestEnvFromSetsNoVariableOfTheRunner(t *testing.T) {
	source, err := os.ReadFile("../../cmd/runner/options.go")
	if err != nil {
		t.Fatal(err)
	}
	read := []string{contract.PlanEnv}
	for _, name := range regexp.MustCompile(`"(TASKGROUP_[A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		read = append(read, name[1])
	}
	if len(read) < 2 {
		t.Fatal("found no variable in cmd/runner/options.go")
	}
	tg := readTaskGroup(t, "testdata/commands.input.yaml")
	tg.Spec.Pod = &v1alpha1.PodOptions{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{}}}}
	var set []string
	for _, variable := range renderedContainer(t, tg).Env {
		set = append(set, variable.Name)
	}
	for _, name := range read {
		if !slices.Contains(set, name) {
			t.Errorf("the runner reads %s, which the pod does not set", name)
		}
	}
}

// renderedContainer returns the container of the tasks in the first attempt's Job.
func renderedContainer(t *testing.T, tg *v1alpha1.TaskGroup) *corev1.Container {
	t.Helper()
	job, err := Job(tg, Attempt{Number: 1}, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	return &job.Spec.Template.Spec.Containers[0]
}
