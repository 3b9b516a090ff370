// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// gatewayInterval is when the gateway is looked for again. It publishes its authorities
// at its first start, and the kubelet takes up to a minute to hand them to the operator.
const gatewayInterval = 5 * time.Second

// gatewayFor returns the gateway if a group uses it. A group waits for a gateway that is
// being installed.
func (r *TaskGroupReconciler) gatewayFor(tg *v1alpha1.TaskGroup) (*jobspec.Gateway, error) {
	if r.Gateway == nil || !jobspec.UsesGateway(tg) {
		return nil, nil
	}
	gateway, err := r.Gateway()
	if err != nil {
		return nil, &refusedError{
			refusal:    plan.Unavailable,
			message:    fmt.Sprintf("The asset gateway is not ready: %v", err),
			retryAfter: gatewayInterval,
		}
	}
	return gateway, nil
}
