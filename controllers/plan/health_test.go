// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"os"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// healthScript returns the health check that config/monitoring/argocd adds to Argo CD.
func healthScript(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../config/monitoring/argocd/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var patch struct{ Data map[string]string }
	if err := yaml.UnmarshalStrict(raw, &patch); err != nil {
		t.Fatal(err)
	}
	script := patch.Data["resource.customizations.health."+v1alpha1.GroupName+"_TaskGroup"]
	if script == "" {
		t.Fatal("the patch has no health check of TaskGroups")
	}
	return script
}

// luaValue returns a JSON value in Lua.
func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, element := range value {
			table.RawSetString(key, luaValue(state, element))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, element := range value {
			table.Append(luaValue(state, element))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	}
	return lua.LNil
}

// health runs the health check as Argo CD does: with the object in obj, and the base
// library only.
func health(t *testing.T, script string, object map[string]any) (status, message string) {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	lua.OpenBase(state)
	state.SetGlobal("obj", luaValue(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the health check returns %s", state.Get(-1).Type())
	}
	return result.RawGetString("status").String(), result.RawGetString("message").String()
}

// TestHealth requires the states that generic tools derive from the conditions: kstatus for
// kubectl-like tools and Flux, and the health check for Argo CD.
func TestHealth(t *testing.T) {
	const inProgress, current, failed, terminating = status.InProgressStatus, status.CurrentStatus, status.FailedStatus, status.TerminatingStatus
	group := func(generation int64, change func(*v1alpha1.TaskGroupStatus)) *v1alpha1.TaskGroup {
		tg := testkit.TaskGroup("a").Obj()
		tg.Generation, tg.Status = generation, v1alpha1.TaskGroupStatus{ObservedGeneration: 1}
		if change != nil {
			change(&tg.Status)
		}
		return tg
	}
	running := func(s *v1alpha1.TaskGroupStatus) {
		unfinished(s, v1alpha1.ReasonRunning, "", testkit.Created)
	}
	resumed := func(s *v1alpha1.TaskGroupStatus) {
		unfinished(s, v1alpha1.ReasonSuspended, "", testkit.Created)
		unfinished(s, v1alpha1.ReasonRunning, "", testkit.Created)
	}
	completed := func(s *v1alpha1.TaskGroupStatus) {
		complete(s, verdict{reason: v1alpha1.ReasonCompleted, succeeded: true}, 1, testkit.Created)
	}
	deleted := group(1, running)
	deleted.DeletionTimestamp = &metav1.Time{Time: testkit.Created}
	type want struct {
		kstatus status.Status
		argo    string
	}
	type testCase struct {
		group *v1alpha1.TaskGroup
		want  want
	}
	created := group(1, func(s *v1alpha1.TaskGroupStatus) {
		// The default of the CRD, which has no observedGeneration.
		*s = v1alpha1.TaskGroupStatus{Conditions: []metav1.Condition{
			{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionUnknown, Reason: "Pending", Message: "The operator has not started it yet"},
			{Type: string(v1alpha1.ConditionReconciling), Status: metav1.ConditionTrue, Reason: "Pending", Message: "The operator has not started it yet"},
		}}
	})
	cases := map[string]testCase{
		"created":                    {created, want{inProgress, "Progressing"}},
		"edited while it runs":       {group(2, running), want{inProgress, "Progressing"}},
		"edited after it completed":  {group(2, completed), want{inProgress, "Progressing"}},
		"resumed after a suspension": {group(1, resumed), want{inProgress, "Progressing"}},
		"deleted while it runs":      {deleted, want{terminating, "Progressing"}},
	}
	for _, reason := range v1alpha1.Reasons() {
		c := testCase{want: want{inProgress, "Progressing"}}
		switch {
		case reason == v1alpha1.ReasonCompleted:
			c = testCase{group(1, completed), want{current, "Healthy"}}
		case reason.Info().Terminal:
			c = testCase{group(1, func(s *v1alpha1.TaskGroupStatus) {
				complete(s, verdict{reason: reason, message: "why"}, 1, testkit.Created)
			}), want{failed, "Degraded"}}
			if reason == v1alpha1.ReasonCancelled {
				c.want = want{current, "Healthy"}
			}
		default:
			c.group = group(1, func(s *v1alpha1.TaskGroupStatus) { unfinished(s, reason, "why", testkit.Created) })
			if reason == v1alpha1.ReasonSuspended {
				c.want.argo = "Suspended"
			}
		}
		cases[string(reason)] = c
	}
	script := healthScript(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.group)
			if err != nil {
				t.Fatal(err)
			}
			computed, err := status.Compute(&unstructured.Unstructured{Object: object})
			if err != nil {
				t.Fatal(err)
			}
			argo, message := health(t, script, object)
			if got := (want{computed.Status, argo}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if reason := string(c.group.Status.Reason()); reason != "" && !strings.HasPrefix(message, reason) {
				t.Errorf("the message is %q, want the reason %s", message, reason)
			}
		})
	}
}
