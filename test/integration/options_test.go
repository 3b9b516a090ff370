// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestJobWithEveryOption creates the group of the golden Job that has every option of
// spec.pod. The API server accepts its Job, and each later write by a typed client.
func TestJobWithEveryOption(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(cluster.Root, "controllers/jobspec/testdata/every_option.input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	golden := &v1alpha1.TaskGroup{}
	if err := yaml.UnmarshalStrict(raw, golden); err != nil {
		t.Fatal(err)
	}
	tg := commands(namespace(t), "every-option", 1)
	tg.Spec.Pod = golden.Spec.Pod
	key := create(t, tg, rig.Behaviour{})
	err = rig.Await(t.Context(), "the Job", func(ctx context.Context) (bool, string, error) {
		return jobsOf(t, key)["1"] != nil, "no Job", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var read v1alpha1.TaskGroup
	err = rig.Await(t.Context(), "an update of spec.cancel", func(ctx context.Context) (bool, string, error) {
		if err := cluster.Client.Get(ctx, key, &read); err != nil {
			return false, "", err
		}
		read.Spec.Cancel = true
		err := cluster.Client.Update(ctx, &read)
		if apierrors.IsConflict(err) {
			return false, "a conflict", nil
		}
		return err == nil, "", err
	})
	if err != nil {
		t.Error(err)
	}
}
