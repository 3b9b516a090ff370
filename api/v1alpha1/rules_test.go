// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestRules proves the rules that have to hold at an update, where those of the
// creation are not evaluated again; test/integration has one wrong spec for each.
func TestRules(t *testing.T) {
	v := newValidators(t)
	created := v.sampleGroup(t, 2)
	cases := map[string]struct {
		change func(spec map[string]any)
		// want is part of the error; empty for none.
		want string
	}{
		"nothing":             {func(map[string]any) {}, ""},
		"suspended":           {func(spec map[string]any) { spec["suspend"] = true }, ""},
		"cancelled":           {func(spec map[string]any) { spec["cancel"] = true }, ""},
		"a time to live":      {func(spec map[string]any) { spec["ttlSecondsAfterFinished"] = int64(1) }, ""},
		"another dispatch":    {func(spec map[string]any) { spec["dispatchID"] = "e" }, "spec.dispatchID: Invalid value: is immutable"},
		"no dispatch":         {func(spec map[string]any) { delete(spec, "dispatchID") }, "spec.dispatchID: Invalid value: is immutable"},
		"a group's ID":        {func(spec map[string]any) { spec["taskGroupID"] = int64(1) }, "spec.taskGroupID: Invalid value: is immutable"},
		"no assets":           {func(spec map[string]any) { delete(spec, "assets") }, "spec.assets: Invalid value: is immutable"},
		"a URI of no store":   {func(spec map[string]any) { functionsOf(spec)["0"] = "gopher://x" }, "spec.assets: Invalid value: is immutable"},
		"a function more":     {func(spec map[string]any) { functionsOf(spec)["9"] = "file:///f" }, "spec.assets: Invalid value: is immutable"},
		"a pod":               {func(spec map[string]any) { spec["pod"] = map[string]any{"image": "x"} }, "spec.pod: Invalid value: is immutable"},
		"a clock":             {func(spec map[string]any) { spec["timeouts"] = map[string]any{"taskSeconds": int64(1)} }, "spec.timeouts: Invalid value: is immutable"},
		"a budget":            {func(spec map[string]any) { spec["retries"] = map[string]any{"limit": int64(1)} }, "spec.retries: Invalid value: is immutable"},
		"somebody to tell":    {func(spec map[string]any) { spec["callback"] = map[string]any{"url": "http://x"} }, "spec.callback: Invalid value: is immutable"},
		"pods beside another": {func(spec map[string]any) { spec["execution"] = "Parallel" }, "spec.execution: Invalid value: is immutable"},
		"a task less":         {func(spec map[string]any) { spec["tasks"] = tasksOf(spec)[:1] }, "spec.tasks: Invalid value: is immutable"},
		"tasks in another order": {func(spec map[string]any) {
			tasks := tasksOf(spec)
			tasks[0], tasks[1] = tasks[1], tasks[0]
		}, "spec.tasks: Invalid value: is immutable"},
		"another argument": {func(spec map[string]any) { tasksOf(spec)[1].(map[string]any)["args"] = []any{int64(1000)} }, "spec.tasks: Invalid value: is immutable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changed := created.DeepCopy()
			tc.change(specOf(changed))
			err := v.update(t, changed, created).ToAggregate()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func specOf(obj *unstructured.Unstructured) map[string]any {
	return obj.Object["spec"].(map[string]any)
}

func tasksOf(spec map[string]any) []any { return spec["tasks"].([]any) }

func functionsOf(spec map[string]any) map[string]any {
	return spec["assets"].(map[string]any)["functions"].(map[string]any)
}
