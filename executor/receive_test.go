// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// left is a group that ended, with what its runner left on a disk.
type left struct {
	t        *testing.T
	tg       *v1alpha1.TaskGroup
	manifest contract.Manifest
}

func leave(t *testing.T, tg *v1alpha1.TaskGroup) *left {
	tg.Spec.Assets.Outputs = v1alpha1.AssetURI("file://" + t.TempDir())
	return &left{t: t, tg: tg, manifest: contract.Manifest{Version: contract.ManifestVersion, UID: string(tg.UID), Attempt: 1}}
}

// task writes assets and records a task.
func (l *left) task(node contract.NodeID, state contract.TaskState, assets map[contract.AssetKey]string) {
	record := contract.TaskRecord{NodeID: node, State: state, Assets: map[contract.AssetKey]contract.Asset{}}
	for key, text := range assets {
		uri := contract.AssetURI(l.place(), node, key)
		record.Assets[key] = contract.Asset{URI: uri, Size: int64(len(text)), SHA256: l.write(uri, []byte(text))}
	}
	l.manifest.Tasks = append(l.manifest.Tasks, record)
}

// commit writes the manifest and names it in the status.
func (l *left) commit() {
	raw := encoded(l.t, l.manifest)
	uri := contract.ManifestURI(l.place())
	l.tg.Status.Manifest = &v1alpha1.ManifestReference{URI: uri, SHA256: l.write(uri, raw)}
}

func encoded(t *testing.T, manifest contract.Manifest) []byte {
	t.Helper()
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (l *left) place() string {
	return contract.AttemptURI(string(l.tg.Spec.Assets.Outputs), string(l.tg.UID), 1)
}

func (l *left) write(uri string, raw []byte) string {
	path := pathOf(l.t, uri)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		l.t.Fatal(err)
	}
	return sum(raw)
}

func (l *left) read(uri string) []byte {
	raw, err := os.ReadFile(pathOf(l.t, uri))
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func pathOf(t *testing.T, uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Path
}

func sum(raw []byte) string {
	digest := sha256.Sum256(raw)
	return hex.EncodeToString(digest[:])
}

func (l *left) receive(change ...func(*executor.Config)) ([]contract.TaskUpdate, error) {
	cluster, _ := fakeCluster(l.t, interceptor.Funcs{}, l.tg)
	nodes := make([]contract.NodeID, 0, len(l.tg.Spec.Tasks))
	for _, task := range l.tg.Spec.Tasks {
		nodes = append(nodes, contract.NodeID(task.NodeID))
	}
	e := newExecutor(l.t, cluster, change...)
	return e.Receive(l.t.Context(), groupOf(nodes...), &executor.Outcome{Handle: executor.Handle{Name: l.tg.Name}})
}

func TestReceiveWhatCompleted(t *testing.T) {
	l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
	l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result", "stdout": "", "stderr": "oh"})
	l.commit()
	logs := t.TempDir()
	updates, err := l.receive(func(c *executor.Config) { c.Options.LogStderr = filepath.Join(logs, "err.log") })
	if err != nil {
		t.Fatal(err)
	}
	asset := func(key contract.AssetKey, text string) contract.AssetUpdate {
		return contract.AssetUpdate{RemoteURI: contract.AssetURI(l.place(), 3, key), Size: int64(len(text)), DigestAlg: "sha256", Digest: sum([]byte(text))}
	}
	want := []contract.TaskUpdate{{
		DispatchID: dispatch, NodeID: 3, Status: contract.Status{Status: contract.TaskCompleted},
		Assets: map[contract.AssetKey]contract.AssetUpdate{"output": asset("output", "result"), "stdout": asset("stdout", ""), "stderr": asset("stderr", "oh")},
	}}
	if diff := cmp.Diff(want, updates); diff != "" {
		t.Errorf("updates (-want +got):\n%s", diff)
	}
	if log, err := os.ReadFile(filepath.Join(logs, "err.log")); string(log) != "oh" {
		t.Errorf("log_stderr has %q, %v", log, err)
	}
}

// TestReceiveAfterAnOOMKill: there is no manifest, but there are streams that were
// uploaded before, whole or in segments, and a reason.
func TestReceiveAfterAnOOMKill(t *testing.T) {
	l := leave(t, ended(v1alpha1.ReasonOOMKilled, v1alpha1.TaskFailed, 3))
	l.tg.Status.Tasks[0].Reason, l.tg.Status.Tasks[0].Message = "OOMKilled", "the memory limit of 2Gi was reached"
	l.write(contract.AssetURI(l.place(), 3, contract.AssetStdout), []byte("so far"))
	for i, segment := range []string{"one ", "two ", "three"} {
		l.write(contract.SegmentURI(l.place(), 3, contract.AssetStderr, i+1), []byte(segment))
	}
	updates, err := l.receive()
	if err != nil {
		t.Fatal(err)
	}
	assets := updates[0].Assets
	if updates[0].Status.Status != contract.TaskFailed || len(assets) != 3 || assets["stdout"].Size != 6 {
		t.Errorf("got %+v", updates[0])
	}
	assembled, err := os.ReadFile(pathOf(t, assets["stderr"].RemoteURI))
	if want := "one two three"; err != nil || string(assembled) != want || assets["stderr"].Digest != sum([]byte(want)) {
		t.Errorf("the segments are %q, %v; their record %+v", assembled, err, assets["stderr"])
	}
	words, err := os.ReadFile(pathOf(t, assets["error"].RemoteURI))
	if err != nil || !strings.HasPrefix(string(words), "OOMKilled: the memory limit of 2Gi was reached\n") || assets["error"].Size != int64(len(words)) {
		t.Errorf("the error is %q, %v; its record %+v", words, err, assets["error"])
	}
}

func TestReceiveKeepsWhatAnEarlierAttemptCommitted(t *testing.T) {
	l := leave(t, ended(v1alpha1.ReasonOOMKilled, v1alpha1.TaskFailed, 3, 4))
	l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "first"})
	l.commit()
	l.tg.Status.Jobs = []v1alpha1.JobReference{{Name: "j-1", Attempt: 1, ManifestSHA256: l.tg.Status.Manifest.SHA256}, {Name: "j-2", Attempt: 2}}
	l.tg.Status.Manifest, l.tg.Status.Attempt = nil, 2
	l.tg.Status.Tasks[0].State = v1alpha1.TaskCompleted
	updates, err := l.receive()
	if err != nil || updates[0].Assets["output"].Size != 5 || updates[1].Status.Status != contract.TaskFailed {
		t.Errorf("got %+v, %v", updates, err)
	}
}

// TestReceiveWhatNobodySaw has a cancelled group whose pod was deleted before its end was
// read: there may be a manifest, and the status cannot report it.
func TestReceiveWhatNobodySaw(t *testing.T) {
	cancelled := func(t *testing.T) *left {
		l := leave(t, ended(v1alpha1.ReasonCancelled, v1alpha1.TaskCancelled, 3))
		l.task(3, contract.TaskCancelled, map[contract.AssetKey]string{"stdout": "so far"})
		l.commit()
		l.tg.Status.Manifest.SHA256 = ""
		return l
	}
	remove := func(l *left) {
		if err := os.Remove(pathOf(l.t, l.tg.Status.Manifest.URI)); err != nil {
			l.t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		change func(*left)
		// digest is the digest of the standard output, which only a record has.
		digest string
	}{
		"it left a manifest": {change: func(*left) {}, digest: sum([]byte("so far"))},
		"it left none":       {change: remove},
		"it left none, and a former attempt did": {
			change: func(l *left) {
				l.tg.Status.Jobs = []v1alpha1.JobReference{{Attempt: 1, ManifestSHA256: sum(l.read(l.tg.Status.Manifest.URI))}, {Attempt: 2}}
				l.tg.Status.Attempt = 2
				at := contract.AttemptURI(string(l.tg.Spec.Assets.Outputs), string(l.tg.UID), 2)
				l.tg.Status.Manifest.URI = contract.ManifestURI(at)
			},
			digest: sum([]byte("so far")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := cancelled(t)
			tc.change(l)
			updates, err := l.receive()
			if err != nil {
				t.Fatal(err)
			}
			got := updates[0].Assets[contract.AssetStdout]
			if updates[0].Status.Status != contract.TaskCancelled || got.Size != 6 || got.Digest != tc.digest {
				t.Errorf("got %+v", updates[0])
			}
		})
	}
	t.Run("one that completed has left one", func(t *testing.T) {
		l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
		l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
		l.commit()
		l.tg.Status.Manifest.SHA256 = ""
		remove(l)
		if updates, err := l.receive(); !errors.Is(err, executor.ErrManifestUnavailable) {
			t.Errorf("got %+v, %v", updates, err)
		}
	})
}

// TestReceiveBelievesNoForgery: a task can write its record, and the termination
// message that confirms it.
func TestReceiveBelievesNoForgery(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("result"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*left){
		"a file of the dispatcher": func(l *left) {
			l.manifest.Tasks[0].Assets["output"] = contract.Asset{URI: "file://" + secret, Size: 6}
		},
		"dots": func(l *left) {
			l.manifest.Tasks[0].Assets["output"] = contract.Asset{URI: l.place() + "/../../../../../../../../.." + secret, Size: 6}
		},
		"escaped dots": func(l *left) {
			l.manifest.Tasks[0].Assets["output"] = contract.Asset{URI: l.place() + "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e" + secret, Size: 6}
		},
		"a link": func(l *left) {
			output := pathOf(l.t, contract.AssetURI(l.place(), 3, "output"))
			if err := os.Remove(output); err != nil {
				l.t.Fatal(err)
			}
			if err := os.Symlink(secret, output); err != nil {
				l.t.Fatal(err)
			}
		},
		"another size":  func(l *left) { l.write(contract.AssetURI(l.place(), 3, "output"), []byte("resul")) },
		"another group": func(l *left) { l.manifest.UID = "of-another" },
	} {
		t.Run(name, func(t *testing.T) {
			l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
			l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
			forge(l)
			l.commit()
			if updates, err := l.receive(); !cmp.Equal(err, executor.ErrManifestInvalid, cmpopts.EquateErrors()) {
				t.Errorf("got %+v, %v", updates, err)
			}
		})
	}
	t.Run("other bytes than the status vouches for", func(t *testing.T) {
		l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
		l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
		l.commit()
		l.tg.Status.Manifest.SHA256 = strings.Repeat("0", 64)
		if _, err := l.receive(); !cmp.Equal(err, executor.ErrManifestInvalid, cmpopts.EquateErrors()) {
			t.Errorf("got %v", err)
		}
	})
}

// TestReceiveAfterACancellation sends no requests: there is no cluster behind it.
func TestReceiveAfterACancellation(t *testing.T) {
	cluster := executor.NewCluster(executor.ClusterConfig{})
	updates, err := newExecutor(t, cluster).Receive(t.Context(), groupOf(3, 4), nil)
	want := []contract.TaskUpdate{
		{DispatchID: dispatch, NodeID: 3, Status: contract.Status{Status: contract.TaskCancelled}, Assets: map[contract.AssetKey]contract.AssetUpdate{}},
		{DispatchID: dispatch, NodeID: 4, Status: contract.Status{Status: contract.TaskCancelled}, Assets: map[contract.AssetKey]contract.AssetUpdate{}},
	}
	if diff := cmp.Diff(want, updates); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestReceiveTooEarlyOrTooLate(t *testing.T) {
	early := leave(t, running(3))
	if _, err := early.receive(); !cmp.Equal(err, executor.ErrNotFinished, cmpopts.EquateErrors()) {
		t.Errorf("too early: %v", err)
	}
	cluster, _ := fakeCluster(t, interceptor.Funcs{})
	updates, err := newExecutor(t, cluster).Receive(t.Context(), groupOf(3), &executor.Outcome{})
	if err != nil || updates[0].Status.Status != contract.TaskCancelled {
		t.Errorf("too late: %+v, %v", updates, err)
	}
}
