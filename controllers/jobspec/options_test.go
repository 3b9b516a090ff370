// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"reflect"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestEveryOptionIsCovered requires a value for each field of the pod's options in
// the golden Job every_option, so that the policy "restricted" is checked with it.
func TestEveryOptionIsCovered(t *testing.T) {
	set := map[string]bool{}
	collectFields(reflect.ValueOf(readTaskGroup(t, "testdata/every_option.input.yaml").Spec.Pod), set)
	if len(set) == 0 {
		t.Fatal("found no field")
	}
	for field, isSet := range set {
		if !isSet {
			t.Errorf("testdata/every_option.input.yaml does not set %s", field)
		}
	}
}

// collectFields records for each field of this API's types whether any value has it.
func collectFields(value reflect.Value, set map[string]bool) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			collectFields(value.Elem(), set)
		}
	case reflect.Slice:
		for i := range value.Len() {
			collectFields(value.Index(i), set)
		}
	case reflect.Struct:
		kind := value.Type()
		if !strings.HasSuffix(kind.PkgPath(), "/api/"+v1alpha1.GroupVersion.Version) {
			return
		}
		for i := range kind.NumField() {
			name := kind.Name() + "." + kind.Field(i).Name
			set[name] = set[name] || !value.Field(i).IsZero()
			collectFields(value.Field(i), set)
		}
	default:
	}
}

// TestWorkingDirOfTheImage starts the container in the image's WORKDIR by default.
func TestWorkingDirOfTheImage(t *testing.T) {
	tg := readTaskGroup(t, "testdata/commands.input.yaml")
	for _, want := range []string{"", "/app"} {
		tg.Spec.Pod = &v1alpha1.PodOptions{WorkingDir: want}
		if got := renderedContainer(t, tg).WorkingDir; got != want {
			t.Errorf("workingDir of the container is %q, want %q", got, want)
		}
	}
}

// TestGracePeriod renders the grace period into the pod, the runner's environment
// and the pod's own deadline.
func TestGracePeriod(t *testing.T) {
	cases := map[string]struct {
		seconds      *int64
		env          string
		wantDeadline int64
	}{
		"by default": {nil, "30", 100 + 60 + 30},
		"two hours":  {new(int64(7200)), "7200", 100 + 60 + 7200},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := readTaskGroup(t, "testdata/commands.input.yaml")
			tg.Spec.Timeouts = &v1alpha1.Timeouts{RunningSeconds: new(int64(100)), StartingSeconds: new(int64(60))}
			tg.Spec.Pod = &v1alpha1.PodOptions{TerminationGracePeriodSeconds: tc.seconds}
			job, err := Job(tg, Attempt{Number: 1}, testConfig)
			if err != nil {
				t.Fatal(err)
			}
			spec := &job.Spec.Template.Spec
			if !reflect.DeepEqual(spec.TerminationGracePeriodSeconds, tc.seconds) {
				t.Errorf("terminationGracePeriodSeconds is %v, want %v", spec.TerminationGracePeriodSeconds, tc.seconds)
			}
			if *spec.ActiveDeadlineSeconds != tc.wantDeadline {
				t.Errorf("activeDeadlineSeconds is %d, want %d", *spec.ActiveDeadlineSeconds, tc.wantDeadline)
			}
			for _, variable := range spec.Containers[0].Env {
				if variable.Name == graceEnv && variable.Value == tc.env {
					return
				}
			}
			t.Errorf("%s is not %s in %v", graceEnv, tc.env, spec.Containers[0].Env)
		})
	}
}

// TestOperatingSystem selects nodes with Linux, unless the user selects others.
func TestOperatingSystem(t *testing.T) {
	tg := readTaskGroup(t, "testdata/commands.input.yaml")
	for name, tc := range map[string]struct{ selector, want map[string]string }{
		"by default":      {nil, map[string]string{"kubernetes.io/os": "linux"}},
		"another label":   {map[string]string{"disk": "ssd"}, map[string]string{"kubernetes.io/os": "linux", "disk": "ssd"}},
		"the user's own":  {map[string]string{"kubernetes.io/os": "other"}, map[string]string{"kubernetes.io/os": "other"}},
		"an architecture": {map[string]string{"kubernetes.io/arch": "arm64"}, map[string]string{"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}},
	} {
		t.Run(name, func(t *testing.T) {
			tg.Spec.Pod = &v1alpha1.PodOptions{NodeSelector: tc.selector}
			job, err := Job(tg, Attempt{Number: 1}, testConfig)
			if err != nil {
				t.Fatal(err)
			}
			if got := job.Spec.Template.Spec.NodeSelector; !reflect.DeepEqual(got, tc.want) {
				t.Errorf("nodeSelector is %v, want %v", got, tc.want)
			}
		})
	}
}
