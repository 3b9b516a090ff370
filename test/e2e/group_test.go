// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// group returns a TaskGroup whose pods mount the assets, which is never retried.
func group(name string, tasks ...v1alpha1.TaskSpec) *v1alpha1.TaskGroup {
	return testkit.New(namespace, name).Tasks(tasks...).Outputs("file:///assets/results").Pod(v1alpha1.PodOptions{
		Volumes: []v1alpha1.Volume{{Name: "assets", PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: "taskgroup-assets",
		}}},
		VolumeMounts: []v1alpha1.VolumeMount{{Name: "assets", MountPath: "/assets"}},
	}).Obj()
}

// functions is a group of functions without arguments, numbered from 0.
func functions(name string, files ...string) *v1alpha1.TaskGroup {
	tg := group(name)
	tg.Spec.Assets.Functions = map[string]v1alpha1.AssetURI{}
	for i, file := range files {
		tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(i)})
		tg.Spec.Assets.Functions[strconv.Itoa(i)] = v1alpha1.AssetURI("file:///assets/functions/" + file)
	}
	return tg
}

func create(t *testing.T, tg *v1alpha1.TaskGroup) client.ObjectKey {
	t.Helper()
	if err := cluster.Client.Create(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
	return client.ObjectKeyFromObject(tg)
}

func awaitReason(t *testing.T, key client.ObjectKey, reasons ...v1alpha1.Reason) *v1alpha1.TaskGroup {
	t.Helper()
	tg, err := cluster.AwaitReason(t.Context(), key, reasons...)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

func messageOf(tg *v1alpha1.TaskGroup) string {
	return tg.Status.Condition(v1alpha1.ConditionSucceeded).Message
}

// hostPath is where this machine has what pods call by a URI.
func hostPath(uri string) string {
	return filepath.Join(assets, strings.TrimPrefix(uri, "file:///assets"))
}

// manifest reads the manifest that the status names, and checks its digest and
// those of all assets in it (invariant I8).
func manifest(t *testing.T, tg *v1alpha1.TaskGroup) *contract.Manifest {
	t.Helper()
	if tg.Status.Manifest == nil {
		t.Fatalf("%s has no manifest: %+v", tg.Name, tg.Status)
	}
	m, err := contract.DecodeManifest(readChecked(t, tg.Status.Manifest.URI, tg.Status.Manifest.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	if m.UID != string(tg.UID) || len(m.Tasks) != len(tg.Spec.Tasks) {
		t.Fatalf("the manifest of %s is of %s with %d tasks", tg.UID, m.UID, len(m.Tasks))
	}
	for i := range m.Tasks {
		if got, want := string(m.Tasks[i].State), string(tg.Status.Tasks[i].State); got != want {
			t.Errorf("task %d is %s in the manifest and %s in the status", m.Tasks[i].NodeID, got, want)
		}
		for key, asset := range m.Tasks[i].Assets {
			if got := int64(len(readChecked(t, asset.URI, asset.SHA256))); got != asset.Size {
				t.Errorf("%s of task %d has %d bytes, the manifest says %d", key, m.Tasks[i].NodeID, got, asset.Size)
			}
		}
	}
	return m
}

func readChecked(t *testing.T, uri, digest string) []byte {
	t.Helper()
	content, err := os.ReadFile(hostPath(uri))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
		t.Errorf("%s is not what its digest says", uri)
	}
	return content
}

// text is a stream or error of a task; empty where there is none.
func text(t *testing.T, m *contract.Manifest, task int, key contract.AssetKey) string {
	t.Helper()
	asset, ok := m.Tasks[task].Assets[key]
	if !ok {
		return ""
	}
	content, err := os.ReadFile(hostPath(asset.URI))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// results unpickles the outputs of all tasks, in a pod.
func results(t *testing.T, m *contract.Manifest) []string {
	t.Helper()
	args := []string{"show"}
	for i := range m.Tasks {
		args = append(args, strings.TrimPrefix(m.Tasks[i].Assets[contract.AssetOutput].URI, "file://"))
	}
	out, err := workbench(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// leftovers names a group's Jobs, and its pods that have not finished.
func leftovers(t *testing.T, uid string) string {
	t.Helper()
	out, err := cluster.Run(t.Context(), "-n", namespace, "get", "jobs,pods", "-l", v1alpha1.UIDLabel+"="+uid,
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name}/{.status.phase} {end}`)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.DeleteFunc(strings.Fields(out), func(object string) bool {
		return strings.HasSuffix(object, "/Succeeded") || strings.HasSuffix(object, "/Failed")
	}), ", ")
}

// wantMessage checks that MESSAGE contains all texts.
func wantMessage(t *testing.T, tg *v1alpha1.TaskGroup, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(messageOf(tg), text) {
			t.Errorf("the message lacks %q: %s", text, messageOf(tg))
		}
	}
}

// awaitMessage waits until a group has a reason and a message that contains a text,
// for no longer than a limit.
func awaitMessage(t *testing.T, key client.ObjectKey, reason v1alpha1.Reason, text string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	what := fmt.Sprintf("TaskGroup %s to be %s with %q in its message", key, reason, text)
	err := rig.Await(ctx, what, func(ctx context.Context) (bool, string, error) {
		var tg v1alpha1.TaskGroup
		err := cluster.Client.Get(ctx, key, &tg)
		seen := fmt.Sprintf("%s: %s", tg.Status.Reason(), tg.Status.Message())
		return tg.Status.Reason() == reason && strings.Contains(tg.Status.Message(), text), seen, err
	})
	if err != nil {
		t.Fatal(err)
	}
}
