// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/podlog"
)

// retriesAfterFinish is how often the log of a pod is opened again after its group has
// finished: the log of a pod on a lost node may never be complete.
const retriesAfterFinish = 8

// streams are the logs that are being followed.
type streams struct {
	*logging
	// finished is set once the group has finished or was deleted.
	finished atomic.Bool
	workers  *errgroup.Group
	mu       sync.Mutex
	seen     map[types.UID]bool
}

// follow shows the log of every pod of the group, of this attempt and of all later
// attempts, until the group has finished. A missing permission is an error at once.
func (l *logging) follow(ctx context.Context) error {
	workers, streaming := errgroup.WithContext(ctx)
	s := &streams{logging: l, workers: workers, seen: map[types.UID]bool{}}
	workers.Go(func() error { return s.followGroup(streaming) })
	err := workers.Wait()
	if ctx.Err() != nil {
		return interrupted()
	}
	return err
}

// followGroup returns when the group has finished and its pods have streams.
func (s *streams) followGroup(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var both sync.WaitGroup
	pods, group := make(chan error, 1), make(chan error, 1)
	both.Go(func() {
		pods <- s.session.FollowPods(watching, s.tg, func(pods []*corev1.Pod) bool {
			for _, pod := range pods {
				s.start(ctx, pod)
			}
			return false
		})
	})
	both.Go(func() {
		query := cluster.Query{Namespace: s.tg.Namespace, Keys: keysOf(s.tg.Namespace, []string{s.tg.Name})}
		group <- s.session.Follow(watching, query, func(groups []v1alpha1.TaskGroup) bool {
			return len(groups) == 0 || groups[0].Status.IsFinished()
		})
	})
	select {
	case err := <-pods:
		stop()
		both.Wait()
		return err
	case err := <-group:
		s.finished.Store(true)
		stop()
		both.Wait()
		if err != nil {
			return err
		}
	}
	// A pod may have run between the last event and the end of the group.
	last, err := s.session.Pods(ctx, s.tg)
	for i := range last {
		s.start(ctx, &last[i])
	}
	return err
}

// start starts a stream, once for each pod whose containers have started.
func (s *streams) start(ctx context.Context, pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[pod.UID] || !s.wants(pod) || pod.Status.Phase == corev1.PodPending || pod.Status.Phase == "" {
		return
	}
	s.seen[pod.UID] = true
	s.workers.Go(func() error {
		if err := s.showAll(ctx, pod); err != nil && ctx.Err() == nil {
			return fmt.Errorf("reading the log of pod %s: %w", pod.Name, err)
		}
		return nil
	})
}

// showAll shows the log of a pod up to the end of its container. A stream that
// terminates before is opened again: idle timeouts of load balancers and restarts of
// the kubelet or the API server terminate streams, some of them without an error.
func (s *streams) showAll(ctx context.Context, pod *corev1.Pod) error {
	stream := s.writer.Stream(s.prefixOf(pod))
	backoff := cluster.Backoff{Clock: s.session.Clock}
	for retries := 0; ; {
		backoff.Start()
		// Only a stream that was opened after the end of the container, and has an end, is
		// complete.
		complete, err := s.isComplete(ctx, pod)
		if err == nil {
			err = s.showOpened(ctx, pod, stream)
		}
		if complete && hasNoMore(err) || s.isDeleted(ctx, pod, err) {
			return stream.Close()
		}
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return err
		}
		if complete {
			retries++
		}
		if retries > retriesAfterFinish {
			return errors.Join(err, stream.Close())
		}
		if err := backoff.Wait(ctx); err != nil {
			return errors.Join(err, stream.Close())
		}
	}
}

// hasNoMore reports whether the log of a terminated container was read to its end, or
// does not exist because the container never ran.
func hasNoMore(err error) bool {
	return err == nil || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err)
}

// showOpened opens the log and shows what was not shown before.
func (s *streams) showOpened(ctx context.Context, pod *corev1.Pod, stream *podlog.Stream) error {
	options := &corev1.PodLogOptions{Container: taskContainer, Follow: true, Timestamps: true, TailLines: s.tail, SinceTime: s.since}
	if since := stream.Since(); !since.IsZero() {
		options.TailLines, options.SinceTime = nil, &metav1.Time{Time: since}
	}
	log, err := s.session.Logs(ctx, client.ObjectKeyFromObject(pod), options)
	if err != nil {
		return err
	}
	defer log.Close()
	return stream.Copy(log)
}

// isComplete reports whether nothing more is written to the log of a pod.
func (s *streams) isComplete(ctx context.Context, pod *corev1.Pod) (bool, error) {
	if s.finished.Load() || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true, nil
	}
	var now corev1.Pod
	if err := s.session.Client.Get(ctx, client.ObjectKeyFromObject(pod), &now); err != nil {
		return false, fmt.Errorf("reading pod %s: %w", pod.Name, err)
	}
	if now.UID != pod.UID || now.Status.Phase == corev1.PodSucceeded || now.Status.Phase == corev1.PodFailed {
		return true, nil
	}
	for i := range now.Status.ContainerStatuses {
		if status := &now.Status.ContainerStatuses[i]; status.Name == taskContainer && status.State.Terminated != nil {
			return true, nil
		}
	}
	return false, nil
}

// isDeleted reports whether an error is due to a pod that no longer exists.
func (s *streams) isDeleted(ctx context.Context, pod *corev1.Pod, err error) bool {
	var now corev1.Pod
	return apierrors.IsNotFound(err) && apierrors.IsNotFound(s.session.Client.Get(ctx, client.ObjectKeyFromObject(pod), &now))
}
