// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

func TestLabelValue(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"keeps a valid value":             {"etl.2026", "etl.2026"},
		"keeps 63 characters":             {strings.Repeat("a", 63), strings.Repeat("a", 63)},
		"hashes 64 characters":            {strings.Repeat("a", 64), "ffe054fe7ae0cb6dc65c3af9"},
		"hashes what a label must not be": {"two words", "a03f1d611645eb53ad16c1af"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := v1alpha1.LabelValue(tc.text); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestPodMetadata creates groups with labels and annotations of the pod. Keys that
// clusters require are accepted, and keys that controllers own are refused.
func TestPodMetadata(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"the recommended labels":         {`{pod: {labels: {app.kubernetes.io/name: train, app.kubernetes.io/part-of: team-a}}}`, ""},
		"labels of other systems":        {`{pod: {labels: {sidecar.istio.io/inject: "false", team: a, topology.kubernetes.io/zone: z}}}`, ""},
		"safe-to-evict":                  {`{pod: {annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}}}`, ""},
		"Kueue's topology":               {`{pod: {annotations: {kueue.x-k8s.io/podset-required-topology: rack, kueue.x-k8s.io/podset-preferred-topology: block}}}`, ""},
		"Karpenter's annotation":         {`{pod: {annotations: {karpenter.sh/do-not-disrupt: "true"}}}`, ""},
		"a value that no label may have": {`{pod: {labels: {team: this-value-was-made-of-an-address-and-a-branch-and-is-longer-than-63}}}`, ""},
		"the operator's label":           {`{pod: {labels: {kubernetes.covalent.xyz/taskgroup-uid: x}}}`, "spec.pod.labels: Invalid value: keys that controllers own are reserved"},
		"the operator's annotation":      {`{pod: {annotations: {kubernetes.covalent.xyz/nodes: "1"}}}`, "spec.pod.annotations: Invalid value: keys that controllers own are reserved"},
		"the Job controller's label":     {`{pod: {labels: {batch.kubernetes.io/job-name: x}}}`, "keys that controllers own are reserved"},
		"its label without a domain":     {`{pod: {labels: {job-name: x}}}`, "keys that controllers own are reserved"},
		"its controller's UID":           {`{pod: {labels: {controller-uid: x}}}`, "keys that controllers own are reserved"},
		"its index":                      {`{pod: {annotations: {batch.kubernetes.io/job-completion-index: "0"}}}`, "keys that controllers own are reserved"},
		"Pod Security's label":           {`{pod: {labels: {pod-security.kubernetes.io/enforce: privileged}}}`, "keys that controllers own are reserved"},
		"Kueue's queue":                  {`{pod: {labels: {kueue.x-k8s.io/queue-name: q}}}`, "spec.pod.labels: Invalid value: keys of kueue.x-k8s.io are reserved except podset-*"},
		"a pod that Kueue manages":       {`{pod: {labels: {kueue.x-k8s.io/managed: "true"}}}`, "keys of kueue.x-k8s.io are reserved except podset-*"},
		"a pod group of Kueue":           {`{pod: {annotations: {kueue.x-k8s.io/pod-group-total-count: "2"}}}`, "keys of kueue.x-k8s.io are reserved except podset-*"},
		"an AppArmor profile":            {`{pod: {annotations: {container.apparmor.security.beta.kubernetes.io/tasks: unconfined}}}`, "annotations of AppArmor and seccomp"},
		"a seccomp profile":              {`{pod: {annotations: {seccomp.security.alpha.kubernetes.io/pod: unconfined}}}`, "annotations of AppArmor and seccomp"},
		"a container's seccomp profile":  {`{pod: {annotations: {container.seccomp.security.alpha.kubernetes.io/tasks: unconfined}}}`, "annotations of AppArmor and seccomp"},
		"a mirror pod":                   {`{pod: {annotations: {kubernetes.io/config.mirror: x}}}`, "kubernetes.io/config.*"},
		"another default container":      {`{pod: {annotations: {kubectl.kubernetes.io/default-container: x}}}`, "kubectl.kubernetes.io/default-container"},
	})
}
