// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// bench is a command line on a cluster that is made up.
type bench struct {
	t       *testing.T
	client  client.WithWatch
	clock   *testingclock.FakeClock
	name    string
	out     bytes.Buffer
	err     bytes.Buffer
	logs    map[string]string
	failure error
	// open replaces logs.
	open func(pod string, options *corev1.PodLogOptions) (io.ReadCloser, error)
	// exec runs a program in a pod.
	exec func(ctx context.Context, pod client.ObjectKey, container string, command []string, stdout, stderr io.Writer) error
	// retries measures the delays of retries; the machine's by default.
	retries clock.Clock
}

// stamped returns lines as the kubelet does with timestamps, a second apart.
func stamped(text string) string {
	var out strings.Builder
	at := testkit.Now
	for line := range strings.Lines(text) {
		out.WriteString(at.UTC().Format(time.RFC3339Nano) + " " + line)
		at = at.Add(time.Second)
	}
	return out.String()
}

// newBench has these objects in its cluster.
func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	return newBenchWith(t, interceptor.Funcs{}, objects...)
}

func newBenchWith(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *bench {
	t.Helper()
	scheme, err := cluster.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.TaskGroup{}).
		WithInterceptorFuncs(funcs).
		WithIndex(&corev1.Event{}, "involvedObject.uid", func(o client.Object) []string {
			return []string{string(o.(*corev1.Event).InvolvedObject.UID)}
		}).
		WithIndex(&v1alpha1.TaskGroup{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).
		Build()
	return &bench{t: t, client: c, clock: testingclock.NewFakeClock(testkit.Now), name: "taskgroup", logs: map[string]string{}}
}

// run runs one command and returns its exit code.
func (b *bench) run(args ...string) int {
	b.out.Reset()
	b.err.Reset()
	return Run(b.t.Context(), b.config(&b.out), args)
}

func (b *bench) config(out io.Writer) Config {
	return Config{Name: b.name, In: strings.NewReader(""), Out: out, Err: &b.err, Clock: b.clock, Connect: b.connect}
}

func (b *bench) connect(*cluster.Flags) (*cluster.Session, error) {
	if b.failure != nil {
		return nil, b.failure
	}
	return &cluster.Session{
		Client: b.client, Namespace: testkit.Namespace,
		Clock: b.retries,
		Exec:  b.exec,
		Logs: func(_ context.Context, pod client.ObjectKey, options *corev1.PodLogOptions) (io.ReadCloser, error) {
			if b.open != nil {
				return b.open(pod.Name, options)
			}
			text, ok := b.logs[pod.Name]
			if !ok {
				return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod.Name)
			}
			if options.Timestamps {
				text = stamped(text)
			}
			return io.NopCloser(strings.NewReader(text)), nil
		},
		Version: func(context.Context) (string, error) { return "v1.37.2", nil },
	}, nil
}

// want runs a command that has to end with a code.
func (b *bench) want(code int, args ...string) {
	b.t.Helper()
	if got := b.run(args...); got != code {
		b.t.Fatalf("%v ended with %d, want %d\n%s%s", args, got, code, b.out.String(), b.err.String())
	}
}

// get reads a group of the cluster.
func (b *bench) get(name string) *v1alpha1.TaskGroup {
	b.t.Helper()
	var tg v1alpha1.TaskGroup
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: testkit.Namespace, Name: name}, &tg); err != nil {
		b.t.Fatal(err)
	}
	return &tg
}

// samples are one group of each stage.
func samples() []client.Object {
	var objects []client.Object
	for _, tg := range testkit.Samples() {
		objects = append(objects, tg)
	}
	return objects
}

// podOf is the pod of an attempt.
func podOf(tg *v1alpha1.TaskGroup, name, attempt string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: tg.Namespace, CreationTimestamp: *testkit.After(time.Second),
		Labels: map[string]string{v1alpha1.UIDLabel: string(tg.UID), v1alpha1.AttemptLabel: attempt},
	}}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", name, diff)
	}
}
