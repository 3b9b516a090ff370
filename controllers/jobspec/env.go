// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// graceEnv is the environment variable that holds the pod's grace period, in
// seconds, for the runner.
const graceEnv = "TASKGROUP_GRACE_SECONDS"

// runnerDefaults are the variables of the runner (cmd/runner) that the operator
// leaves at their defaults.
var runnerDefaults = []string{
	"TASKGROUP_CHECKPOINT_SECONDS",
	"TASKGROUP_FLUSH_SECONDS",
	"TASKGROUP_PYTHON",
	"TASKGROUP_SIGNED_URLS",
	"TASKGROUP_STORE_RETRY_SECONDS",
	"TASKGROUP_STORE_STALL_SECONDS",
	"TASKGROUP_STREAM_LIMIT",
	"TASKGROUP_TERMINATION_LOG",
	"TASKGROUP_WORK",
}

// runnerEnv returns the variables of the runner. The plan is the last one. With
// spec.pod.envFrom, every variable has an explicit value, which takes precedence
// over an entry of the same name; the runner reads an empty value as its default.
func runnerEnv(options *v1alpha1.PodOptions, plan string, gateway *Gateway) []corev1.EnvVar {
	var env []corev1.EnvVar
	if len(options.EnvFrom) > 0 {
		for _, name := range runnerDefaults {
			env = append(env, corev1.EnvVar{Name: name})
		}
	}
	if len(options.EnvFrom) > 0 || gateway != nil {
		env = append(env, gatewayEnv(gateway)...)
	}
	return append(env,
		corev1.EnvVar{Name: graceEnv, Value: strconv.FormatInt(gracePeriod(options), 10)},
		corev1.EnvVar{Name: contract.PlanEnv, Value: plan})
}

// gracePeriod returns the time between SIGTERM and SIGKILL of the pod, in seconds.
func gracePeriod(options *v1alpha1.PodOptions) int64 {
	return valueOr(options.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
}
