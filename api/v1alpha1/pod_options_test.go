// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestGoldenInputsAreAccepted creates the groups of the golden Jobs, one of which has
// every option, and requires that the schema has all of their fields.
func TestGoldenInputsAreAccepted(t *testing.T) {
	v := newValidators(t)
	inputs, err := filepath.Glob("../../controllers/jobspec/testdata/*.input.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := yaml.YAMLToJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			obj := &unstructured.Unstructured{}
			if err := obj.UnmarshalJSON(raw); err != nil {
				t.Fatal(err)
			}
			known := obj.DeepCopy()
			pruning.Prune(known.Object, v.structural, true)
			if diff := cmp.Diff(known.Object, obj.Object); diff != "" {
				t.Errorf("unknown fields (-known +given):\n%s", diff)
			}
			v.setDefaults(obj)
			requireNone(t, v.create(t, obj))
		})
	}
}

func TestPodOptions(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"a relative working directory":  {`{pod: {workingDir: app}}`, "spec.pod.workingDir in body should match '^/'"},
		"no grace period":               {`{pod: {terminationGracePeriodSeconds: 0}}`, "should be greater than or equal to 1"},
		"a day's grace period":          {`{pod: {terminationGracePeriodSeconds: 86400}}`, ""},
		"a longer grace period":         {`{pod: {terminationGracePeriodSeconds: 86401}}`, "should be less than or equal to 86400"},
		"the node's network":            {`{pod: {dnsPolicy: ClusterFirstWithHostNet}}`, "spec.pod.dnsPolicy: Unsupported value"},
		"a volume of no kind":           {`{pod: {volumes: [{name: v}]}}`, "needs exactly one of emptyDir, configMap, secret, persistentVolumeClaim, ephemeral, csi, projected and downwardAPI"},
		"a volume of two kinds":         {`{pod: {volumes: [{name: v, emptyDir: {}, csi: {driver: d}}]}}`, "needs exactly one of emptyDir"},
		"shared memory":                 {`{pod: {volumes: [{name: v, emptyDir: {medium: Memory}}], volumeMounts: [{name: v, mountPath: /dev/shm}]}}`, ""},
		"a mount that hides /dev":       {`{pod: {volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /dev/}]}}`, "/dev and /dev/termination-log are reserved"},
		"the termination message":       {`{pod: {volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /dev/termination-log}]}}`, "/dev and /dev/termination-log are reserved"},
		"both kinds of a subPath":       {`{pod: {volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /v, subPath: a, subPathExpr: b}]}}`, "at most one of subPath and subPathExpr may be set"},
		"a projection of nothing":       {`{pod: {volumes: [{name: v, projected: {sources: [{}]}}]}}`, "each needs exactly one of secret, configMap, downwardAPI and serviceAccountToken"},
		"a projection without sources":  {`{pod: {volumes: [{name: v, projected: {sources: []}}]}}`, "should have at least 1 items"},
		"a token for every audience":    {`{pod: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}}`, "serviceAccountToken.audience: Required value"},
		"a token that is valid briefly": {`{pod: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {audience: a, path: t, expirationSeconds: 599}}]}}]}}`, "should be greater than or equal to 600"},
		"an unknown preemption policy":  {`{pod: {preemptionPolicy: Always}}`, "spec.pod.preemptionPolicy: Unsupported value"},
		"a host name twice":             {`{pod: {hostAliases: [{ip: 10.0.0.1, hostnames: [a]}, {ip: 10.0.0.1, hostnames: [b]}]}}`, "Duplicate value"},
	})
}
