// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// policyGrace is how long a Job that an admission policy denies is waited for if
// spec.timeouts.queuedSeconds is not set.
const policyGrace = 10 * time.Minute

// Refusal is the cause of a Job or pod that the API server did not accept.
type Refusal string

const (
	// RefusedByQuota is a full quota: it may have room later.
	RefusedByQuota Refusal = "Quota"
	// RefusedByPolicy is an admission policy, webhook or other plugin that denied
	// the object. An admin may change it, or never will.
	RefusedByPolicy Refusal = "Policy"
	// Unavailable is a webhook, or the API server itself, that did not process the
	// request.
	Unavailable Refusal = "Unavailable"
)

// unavailable are parts of the messages of requests that were not processed
// (k8s.io/apiserver/pkg/admission/plugin/webhook/errors, ToStatusErr, and
// k8s.io/apimachinery/pkg/api/errors).
var unavailable = []string{
	"failed calling webhook", "failed to call webhook", "Internal error occurred", "is currently unable to handle the request",
	"connection refused", "context deadline exceeded", "timed out", "timeout", "Too many requests", "etcdserver:",
	"the object has been modified", "Operation cannot be fulfilled",
}

// RefusalOf classifies a message of the API server. Admission plugins share the
// codes 400, 403 and 422, and the Job controller passes on the text alone, so the
// text is all there is.
func RefusalOf(message string) Refusal {
	if strings.Contains(message, "exceeded quota") {
		return RefusedByQuota
	}
	for _, text := range unavailable {
		if strings.Contains(message, text) {
			return Unavailable
		}
	}
	return RefusedByPolicy
}

// reason is the failure reason of a group that waited for too long.
func (r Refusal) reason() v1alpha1.Reason {
	if r == RefusedByQuota {
		return v1alpha1.ReasonQuotaExceeded
	}
	return v1alpha1.ReasonJobRejected
}

// Queue returns the plan for a group whose Job the API server does not accept for
// now. The group waits until queuedSeconds has expired since the first refusal, if
// it is set; a Job that a policy denies is given up after policyGrace by default.
func Queue(o *Observed, refusal Refusal, message string, now time.Time) Plan {
	waited := time.Duration(0)
	if since := o.TaskGroup.Status.QueuedTime; since != nil {
		waited = now.Sub(since.Time)
	}
	limit, prefix := time.Duration(0), ""
	if t := o.TaskGroup.Spec.Timeouts; t != nil && t.QueuedSeconds != nil {
		limit, prefix = seconds(*t.QueuedSeconds), fmt.Sprintf("spec.timeouts.queuedSeconds of %d s expired: ", *t.QueuedSeconds)
	} else if refusal == RefusedByPolicy {
		limit, prefix = policyGrace, fmt.Sprintf("denied for %d minutes: ", int(policyGrace.Minutes()))
	}
	if limit > 0 && waited >= limit {
		return Reject(o, refusal.reason(), prefix+message, now)
	}
	p := Plan{Status: queuedStatus(o, message, now)}
	if limit > 0 {
		p.RequeueAfter = max(limit-waited, time.Second)
	}
	return p
}
