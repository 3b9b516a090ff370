// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func runningPod(name, attempt string) *corev1.Pod {
	pod := podOf(testkit.RunningSample("g"), name, attempt)
	pod.UID, pod.Status.Phase = types.UID(name), corev1.PodRunning
	return pod
}

// finish writes the end of a pod, and of its group.
func (b *bench) finish(pods ...string) {
	for _, name := range pods {
		var pod corev1.Pod
		if err := b.client.Get(context.Background(), client.ObjectKey{Namespace: testkit.Namespace, Name: name}, &pod); err != nil {
			b.t.Error(err)
			return
		}
		pod.Status.Phase = corev1.PodSucceeded
		if err := b.client.Status().Update(context.Background(), &pod); err != nil {
			b.t.Error(err)
		}
	}
	become(b.t, b.client, testkit.CompletedSample("g"))
}

// TestFollowOpensBrokenStreamsAgain: a stream that breaks, or terminates without an
// error, while the pod runs is opened again at the last line.
func TestFollowOpensBrokenStreamsAgain(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(strings.TrimSuffix(stamped(podLog), "\n"), "\n")
	var opened atomic.Int32
	b := newBench(t, testkit.RunningSample("g"), runningPod("g-1", "1"))
	b.open = func(_ string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
		n := opened.Add(1)
		if (n == 1) != (options.SinceTime == nil) {
			t.Errorf("opening %d is since %v", n, options.SinceTime)
		}
		switch n {
		case 1:
			text := strings.Join(lines[:2], "") + lines[2][:len(lines[2])-3]
			return io.NopCloser(io.MultiReader(strings.NewReader(text), broken{})), nil
		case 2:
			return nil, apierrors.NewServiceUnavailable("the kubelet restarts")
		case 3:
			return io.NopCloser(strings.NewReader(strings.Join(lines[1:4], ""))), nil
		}
		b.finish("g-1")
		first := slices.IndexFunc(lines, func(line string) bool {
			at, err := time.Parse(time.RFC3339Nano, strings.Fields(line)[0])
			return err == nil && !at.Before(options.SinceTime.Time)
		})
		return io.NopCloser(strings.NewReader(strings.Join(lines[first:], ""))), nil
	}
	b.want(exitDone, "logs", "-f", "g")
	if got := b.out.String(); got != podLog {
		t.Errorf("showed %q, want %q", got, podLog)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestFollowWatchesPodsAgain: the pod of a later attempt is shown, though the watch that
// would have reported it was cut.
func TestFollowWatchesPodsAgain(t *testing.T) {
	t.Parallel()
	var watches atomic.Int32
	b := newBenchWith(t, interceptor.Funcs{Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
		if _, ok := list.(*corev1.PodList); ok && watches.Add(1) == 1 {
			if err := c.Create(ctx, runningPod("g-2", "2")); err != nil {
				t.Error(err)
			}
			return nil, apierrors.NewInternalError(io.ErrUnexpectedEOF)
		}
		return c.Watch(ctx, list, opts...)
	}}, testkit.RunningSample("g"))
	b.open = func(string, *corev1.PodLogOptions) (io.ReadCloser, error) {
		b.finish("g-2")
		return io.NopCloser(strings.NewReader(stamped("two\n"))), nil
	}
	b.want(exitDone, "logs", "-f", "g")
	if got := b.out.String(); got != "two\n" {
		t.Errorf("showed %q", got)
	}
}

// TestFollowWithoutPermission reports at once what the user may not do.
func TestFollowWithoutPermission(t *testing.T) {
	t.Parallel()
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
	isPods := func(list client.ObjectList) bool { _, ok := list.(*corev1.PodList); return ok }
	for name, funcs := range map[string]interceptor.Funcs{
		"list": {List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if isPods(list) {
				return refused
			}
			return c.List(ctx, list, opts...)
		}},
		"watch": {Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			if isPods(list) {
				return nil, refused
			}
			return c.Watch(ctx, list, opts...)
		}},
		"log": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBenchWith(t, funcs, testkit.RunningSample("g"), runningPod("g-1", "1"))
			b.open = func(string, *corev1.PodLogOptions) (io.ReadCloser, error) { return nil, refused }
			b.want(exitFailed, "logs", "-f", "g")
			if !strings.Contains(b.err.String(), "pods is forbidden") || !strings.Contains(b.err.String(), "ClusterRole view") {
				t.Errorf("reported %s", b.err.String())
			}
		})
	}
}

// TestWatchesThatTerminateAreDelayed: a proxy that cuts every watch causes one list and
// one watch for each delay.
func TestWatchesThatTerminateAreDelayed(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"wait": {"wait", "g"}, "logs": {"logs", "-f", "g"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var watches atomic.Int64
			b := newBenchWith(t, interceptor.Funcs{Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
				watches.Add(1)
				w := watch.NewFake()
				w.Stop()
				return w, nil
			}}, testkit.RunningSample("g"))
			retries := testingclock.NewFakeClock(time.Now())
			b.retries = retries
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan int)
			go func() { ended <- Run(ctx, b.config(&b.out), args) }()
			followers := 1
			if name == "logs" {
				followers = 2
			}
			for round := range 5 {
				for retries.Waiters() < followers {
					runtime.Gosched()
				}
				if got := watches.Load(); got != int64((round+1)*followers) {
					t.Errorf("after %d delays there were %d watches", round, got)
				}
				retries.Step(time.Minute)
			}
			cancel()
			<-ended
		})
	}
}
