// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestGroupsWaitForTheGateway: only groups that use the gateway do, and without an attempt.
func TestGroupsWaitForTheGateway(t *testing.T) {
	r := &TaskGroupReconciler{Config: Config{Gateway: func() (*jobspec.Gateway, error) { return nil, errors.New("no certificate yet") }}}
	if gateway, err := r.gatewayFor(testkit.New("ns", "a").Commands(1).Outputs("file:///out").Obj()); gateway != nil || err != nil {
		t.Errorf("a group without the gateway: %v, %v", gateway, err)
	}
	_, err := r.gatewayFor(testkit.New("ns", "a").Commands(1).Outputs("gateway://ns/groups").Obj())
	refused, ok := errors.AsType[*refusedError](err)
	if !ok || refused.refusal != plan.Unavailable || refused.retryAfter == 0 || !strings.Contains(refused.message, "The asset gateway is not ready: no certificate yet") {
		t.Errorf("got %v", err)
	}
}
