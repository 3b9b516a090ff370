package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

// Behaviour is what the node does with the pods of a group. The zero value
// binds the pod, runs it, and completes all its tasks.
type Behaviour struct {
	// Unplaced leaves the pod without a node.
	Unplaced bool
	// Waiting keeps the container from running, for this reason.
	Waiting *corev1.ContainerStateWaiting
	// Runs keeps the container running until the pod is deleted.
	Runs bool
	// End is how the container ends; nil completes all tasks.
	End *corev1.ContainerStateTerminated
	// Disrupted is the reason of the condition DisruptionTarget; empty for none.
	Disrupted string
}

// NodeOptions are the settings of a Node.
type NodeOptions struct {
	// Label selects the pods that the node takes; v1alpha1.UIDLabel, which those of
	// TaskGroups have, by default.
	Label string
	// Workers is how many pods it takes a step at a time; 1 by default.
	Workers int
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
}

// StartNode registers a node and starts to play it.
func (c *Cluster) StartNode(ctx context.Context, name string) (*Node, error) {
	return c.StartNodeWith(ctx, name, NodeOptions{})
}

// StartNodeWith is StartNode with settings.
func (c *Cluster) StartNodeWith(ctx context.Context, name string, options NodeOptions) (*Node, error) {
	options.Label = cmp.Or(options.Label, v1alpha1.UIDLabel)
	options.Workers = max(options.Workers, 1)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		// The real scheduler is to leave it alone.
		Spec: corev1.NodeSpec{Unschedulable: true},
	}
	if err := c.Client.Create(ctx, node); err != nil {
		return nil, fmt.Errorf("registering node %s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n := &Node{Name: name, options: options, client: c.Client, behaviours: map[string]Behaviour{}, done: make(chan struct{}), cancel: cancel}
	go n.play(ctx)
	return n, nil
}

// Stop ends the node; the error is what it could not do.
func (n *Node) Stop() error {
	n.cancel()
	<-n.done
	return n.err
}

// Behave sets what becomes of the pods of a group, before or while they run.
// It touches each of them, so that a change is seen at once.
func (n *Node) Behave(ctx context.Context, key client.ObjectKey, b Behaviour) error {
	n.mu.Lock()
	n.behaviours[key.String()] = b
	n.mu.Unlock()
	var pods corev1.PodList
	if err := n.client.List(ctx, &pods, client.InNamespace(key.Namespace), client.HasLabels{n.options.Label}); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.Annotations[v1alpha1.NameAnnotation] == key.Name {
			if err := n.step(ctx, pod); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Node) behaviour(pod *corev1.Pod) Behaviour {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.behaviours[pod.Namespace+"/"+pod.Annotations[v1alpha1.NameAnnotation]]
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

// step takes a pod one step on its way; each step's event brings the next.
func (n *Node) step(ctx context.Context, pod *corev1.Pod) error {
	err := n.next(ctx, pod.DeepCopy(), n.behaviour(pod))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		// Somebody was faster; the event of what they did is on its way.
		return nil
	}
	return err
}

func (n *Node) next(ctx context.Context, pod *corev1.Pod, b Behaviour) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return n.remove(ctx, pod)
	case b.Unplaced:
		return nil
	case pod.Spec.NodeName == "":
		binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: n.Name}}
		return n.client.SubResource("binding").Create(ctx, pod, binding)
	case pod.Status.Phase == corev1.PodPending && b.Waiting != nil:
		return n.setState(ctx, pod, corev1.PodPending, corev1.ContainerState{Waiting: b.Waiting})
	case pod.Status.Phase == corev1.PodPending:
		return n.setState(ctx, pod, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}})
	case pod.Status.Phase == corev1.PodRunning && !b.Runs:
		if b.Disrupted != "" {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: b.Disrupted,
			})
		}
		return n.end(ctx, pod, b.End)
	}
	return nil
}

// remove ends a pod as a kubelet does: SIGTERM, the runner's last words, gone.
func (n *Node) remove(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.Phase == corev1.PodRunning {
		message, err := terminationMessage(pod, contract.TaskCancelled)
		if err != nil {
			return err
		}
		return n.end(ctx, pod, &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error", Message: message})
	}
	return n.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
}

// end is how a container ends: nil completes all tasks.
func (n *Node) end(ctx context.Context, pod *corev1.Pod, end *corev1.ContainerStateTerminated) error {
	if end == nil {
		message, err := terminationMessage(pod, contract.TaskCompleted)
		if err != nil {
			return err
		}
		end = &corev1.ContainerStateTerminated{Reason: "Completed", Message: message}
	}
	ended := end.DeepCopy()
	ended.FinishedAt = metav1.Now()
	phase := corev1.PodSucceeded
	if ended.ExitCode != 0 {
		phase = corev1.PodFailed
	}
	return n.setState(ctx, pod, phase, corev1.ContainerState{Terminated: ended})
}

func (n *Node) setState(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) error {
	if pod.Status.Phase == phase && len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].State.Waiting != nil {
		return nil
	}
	before := &corev1.Pod{ObjectMeta: pod.ObjectMeta}
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: jobspec.TaskContainer, Image: "x", ImageID: "x", State: state}}
	return n.client.Status().Patch(ctx, pod, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// terminationMessage is what a runner writes when all tasks end in one state.
func terminationMessage(pod *corev1.Pod, state contract.TaskState) (string, error) {
	var message contract.TerminationMessage
	for _, env := range pod.Spec.Containers[0].Env {
		if env.Name != contract.PlanEnv {
			continue
		}
		plan, err := contract.DecodePlan(env.Value)
		if err != nil {
			return "", err
		}
		tasks := len(plan.Tasks)
		if plan.Parallel {
			tasks = 1
		}
		for range tasks {
			message.States = append(message.States, state)
		}
		if plan.Outputs != "" {
			message.ManifestSHA256 = AnyDigest
		}
	}
	if state == contract.TaskCancelled {
		message.Failure = &contract.Failure{Reason: contract.ReasonTerminated, Message: "stopped"}
	}
	raw, err := contract.EncodeTerminationMessage(&message)
	return string(raw), err
}

// AnyDigest is the digest of the manifests that the node's pods claim to commit.
const AnyDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
