// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// createCase is a spec and a part of the error that it gets; empty for none.
type createCase struct{ spec, want string }

// requireCreate creates each spec with the API server's own validation.
func requireCreate(t *testing.T, cases map[string]createCase) {
	t.Helper()
	v := newValidators(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := v.create(t, groupOf(t, v, tc.spec)).ToAggregate()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// groupOf returns a TaskGroup as the API server decodes it: numbers are int64 or
// float64, and defaults are set. A spec without tasks gets one.
func groupOf(t *testing.T, v *validators, spec string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte("apiVersion: kubernetes.covalent.xyz/v1alpha1\nkind: TaskGroup\nmetadata: {name: x, namespace: d}\nspec: " + spec))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	fields := specOf(obj)
	if _, ok := fields["tasks"]; !ok {
		fields["tasks"] = []any{map[string]any{"nodeID": int64(1), "command": []any{"x"}}}
	}
	v.setDefaults(obj)
	return obj
}

func TestTimeoutsAreBounded(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"a year": {`{timeouts: {queuedSeconds: 31536000, startingSeconds: 31536000, runningSeconds: 31536000, taskSeconds: 31536000}}`, ""},
		"a queuedSeconds that overflows a time.Duration": {`{timeouts: {queuedSeconds: 9999999999}}`, "spec.timeouts.queuedSeconds in body should be less than or equal to 31536000"},
		"a startingSeconds that overflows a sum":         {`{timeouts: {startingSeconds: 9223372036854775807}}`, "spec.timeouts.startingSeconds in body should be less than or equal to 31536000"},
	})
}

// TestTimeoutsOfEarlierVersionsStayValid writes the status of a group that was
// created before the timeouts had a maximum.
func TestTimeoutsOfEarlierVersionsStayValid(t *testing.T) {
	v := newValidators(t)
	old := groupOf(t, v, `{timeouts: {queuedSeconds: 9999999999, startingSeconds: 9999999999}}`)
	requireNone(t, v.writeStatus(t, withStatus(t, old, 1), old))
	suspended := old.DeepCopy()
	specOf(suspended)["suspend"] = true
	requireNone(t, v.update(t, suspended, old))
}

func TestIDsAreBounded(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"the greatest IDs":                   {`{pod: {securityContext: {runAsUser: 2147483647, runAsGroup: 2147483647, fsGroup: 2147483647, supplementalGroups: [1, 2147483647]}}}`, ""},
		"group 0 as a supplemental group":    {`{pod: {securityContext: {supplementalGroups: [0]}}}`, "spec.pod.securityContext.supplementalGroups[0] in body should be greater than or equal to 1"},
		"a negative supplemental group":      {`{pod: {securityContext: {supplementalGroups: [-1]}}}`, "should be greater than or equal to 1"},
		"a supplemental group over 31 bits":  {`{pod: {securityContext: {supplementalGroups: [2147483648]}}}`, "should be less than or equal to 2147483647"},
		"a user over 31 bits":                {`{pod: {securityContext: {runAsUser: 2147483648}}}`, "should be less than or equal to 2147483647"},
		"a group over 31 bits":               {`{pod: {securityContext: {runAsGroup: 2147483648}}}`, "should be less than or equal to 2147483647"},
		"a group of volumes of over 31 bits": {`{pod: {securityContext: {fsGroup: 2147483648}}}`, "should be less than or equal to 2147483647"},
	})
}

func TestReservedVariables(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"any other name":                     {`{pod: {env: [{name: A, value: b}], envFrom: [{prefix: P_, configMapRef: {name: c}}, {secretRef: {name: s}}]}}`, ""},
		"a variable of the runner":           {`{pod: {env: [{name: TASKGROUP_PLAN, value: x}]}}`, "spec.pod.env: Invalid value: names that begin with TASKGROUP_ are reserved"},
		"the Job controller's index":         {`{pod: {env: [{name: JOB_COMPLETION_INDEX, value: "0"}]}}`, "spec.pod.env: Invalid value: JOB_COMPLETION_INDEX is reserved: the Job controller sets it"},
		"the runner's prefix for envFrom":    {`{pod: {envFrom: [{prefix: TASKGROUP_, configMapRef: {name: c}}]}}`, "spec.pod.envFrom: Invalid value: prefixes that begin with TASKGROUP_ are reserved"},
		"a longer prefix of the same source": {`{pod: {envFrom: [{prefix: TASKGROUP_STORE_, secretRef: {name: c}}]}}`, "prefixes that begin with TASKGROUP_ are reserved"},
	})
}
