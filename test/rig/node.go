// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// NodeOptions are the settings of a Node.
type NodeOptions struct {
	// Label selects the pods that the node takes; v1alpha1.UIDLabel, which those of
	// TaskGroups have, by default.
	Label string
	// Workers is how many pods it takes a step at a time; 1 by default.
	Workers int
	// Heartbeat is how often it sends a heartbeat; never by default.
	Heartbeat time.Duration
	// Dedicated takes only the pods whose node selector names it.
	Dedicated bool
}

// Node plays scheduler and kubelet for the pods of TaskGroups.
type Node struct {
	Name    string
	options NodeOptions
	client  client.WithWatch

	mu         sync.Mutex
	behaviours map[string]Behaviour
	err        error
	done       chan struct{}
	cancel     context.CancelFunc
	// silent stops it: see Silence.
	silent  atomic.Bool
	beats   sync.WaitGroup
	beatErr error
}

// StartNode registers a node and starts to play it.
func (c *Cluster) StartNode(ctx context.Context, name string) (*Node, error) {
	return c.StartNodeWith(ctx, name, NodeOptions{})
}

// StartNodeWith is StartNode with settings.
func (c *Cluster) StartNodeWith(ctx context.Context, name string, options NodeOptions) (*Node, error) {
	options.Label = cmp.Or(options.Label, v1alpha1.UIDLabel)
	options.Workers = max(options.Workers, 1)
	if err := c.register(ctx, name, options.Heartbeat > 0); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n := &Node{Name: name, options: options, client: c.Client, behaviours: map[string]Behaviour{}, done: make(chan struct{}), cancel: cancel}
	go n.play(ctx)
	if options.Heartbeat > 0 {
		n.beats.Go(func() { n.beat(ctx) })
	}
	return n, nil
}

// Stop ends the node; the error is what it could not do.
func (n *Node) Stop() error {
	n.cancel()
	<-n.done
	n.beats.Wait()
	return errors.Join(n.err, n.beatErr)
}

func (n *Node) play(ctx context.Context) {
	defer close(n.done)
	for ctx.Err() == nil {
		if err := n.follow(ctx); err != nil && ctx.Err() == nil {
			n.err = errors.Join(n.err, err)
		}
	}
}

// follow takes every pod a step at every event until the watch ends, or until a
// step fails: the next watch begins with every pod again.
func (n *Node) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := n.client.Watch(ctx, &corev1.PodList{}, client.HasLabels{n.options.Label})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	defer w.Stop()
	queues, finish := n.startWorkers(ctx, cancel)
	for event := range w.ResultChan() {
		if pod, ok := event.Object.(*corev1.Pod); ok && event.Type != watch.Deleted {
			queues[n.worker(pod)] <- pod
		}
	}
	return finish()
}

// startWorkers starts what takes the steps, and gives up at the first that
// fails. The function it returns waits for them.
func (n *Node) startWorkers(ctx context.Context, giveUp func()) ([]chan *corev1.Pod, func() error) {
	var workers sync.WaitGroup
	queues := make([]chan *corev1.Pod, n.options.Workers)
	errs := make([]error, n.options.Workers)
	for i := range queues {
		// Room for a burst, so that one worker's backlog does not hold up the others.
		queues[i] = make(chan *corev1.Pod, 1000)
		workers.Go(func() {
			for pod := range queues[i] {
				if errs[i] != nil {
					continue
				}
				if errs[i] = n.step(ctx, pod); errs[i] != nil {
					giveUp()
				}
			}
		})
	}
	return queues, func() error {
		for _, queue := range queues {
			close(queue)
		}
		workers.Wait()
		return errors.Join(errs...)
	}
}

// worker is always the same for a pod, so that its steps are one after another.
func (n *Node) worker(pod *corev1.Pod) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(pod.UID))
	return int(hash.Sum32() % uint32(n.options.Workers))
}

// has reports whether a pod is the node's, or is to become so.
func (n *Node) has(pod *corev1.Pod) bool {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName == n.Name
	}
	wanted := pod.Spec.NodeSelector[corev1.LabelHostname]
	return wanted == n.Name || (wanted == "" && !n.options.Dedicated)
}
