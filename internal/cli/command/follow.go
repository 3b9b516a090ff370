package command

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
)

// streams are the logs that are being followed.
type streams struct {
	*logging
	wg   sync.WaitGroup
	mu   sync.Mutex
	seen map[types.UID]bool
	errs []error
}

// follow shows the log of every pod of the group from its start to its end, of
// all attempts that are still to come, until the group has ended.
func (l *logging) follow(ctx context.Context) error {
	s := &streams{logging: l, seen: map[types.UID]bool{}}
	pods, stop := context.WithCancel(ctx)
	defer stop()
	var watching sync.WaitGroup
	watching.Go(func() { s.watchPods(pods, ctx) })
	err := l.session.Follow(ctx, cluster.Query{Namespace: l.tg.Namespace, Keys: keysOf(l.tg.Namespace, []string{l.tg.Name})}, func(groups []v1alpha1.TaskGroup) bool {
		// One that is gone has ended.
		return len(groups) == 0 || groups[0].Status.IsFinished()
	})
	stop()
	watching.Wait()
	if err == nil {
		// What ran between two looks, and ended with the group.
		err = s.startAll(ctx, ctx)
	}
	s.wg.Wait()
	if errors.Is(err, context.Canceled) {
		return interrupted()
	}
	return errors.Join(append(s.errs, err)...)
}

// watchPods starts a stream for every pod that runs, until ctx ends.
func (s *streams) watchPods(ctx, streaming context.Context) {
	for ctx.Err() == nil {
		watcher, err := s.session.Client.Watch(ctx, &corev1.PodList{}, client.InNamespace(s.tg.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(s.tg.UID)})
		if err == nil {
			err = s.startAll(ctx, streaming)
		}
		if err != nil {
			if ctx.Err() == nil {
				s.fail(err)
			}
			return
		}
		s.startEach(ctx, streaming, watcher)
		watcher.Stop()
	}
}

// startEach starts streams until a watch ends, or ctx does.
func (s *streams) startEach(ctx, streaming context.Context, watcher watch.Interface) {
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-watcher.ResultChan():
			if !ok {
				return
			}
			if pod, ok := event.Object.(*corev1.Pod); ok {
				s.start(streaming, pod)
			}
		}
	}
}

// startAll starts a stream for every pod that there is.
func (s *streams) startAll(ctx, streaming context.Context) error {
	pods, err := s.session.Pods(ctx, s.tg)
	for i := range pods {
		s.start(streaming, &pods[i])
	}
	return err
}

// start starts a stream, once for each pod whose container has run.
func (s *streams) start(ctx context.Context, pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[pod.UID] || !s.wants(pod) || pod.Status.Phase == corev1.PodPending || pod.Status.Phase == "" {
		return
	}
	s.seen[pod.UID] = true
	s.wg.Go(func() {
		err := s.show(ctx, pod, true)
		if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsBadRequest(err) {
			s.fail(fmt.Errorf("reading the log of pod %s: %w", pod.Name, err))
		}
	})
}

func (s *streams) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}
