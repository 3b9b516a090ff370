// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// Config is what a TaskGroupReconciler needs. The clocks and Concurrency have
// defaults.
type Config struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// APIReader reads from the API server. It is used only where the cache is not
	// sufficient.
	APIReader client.Reader
	// Recorder emits one event when a group finishes.
	Recorder events.EventRecorder
	// Traces exports the spans of groups that finished; nil for none.
	Traces Traces
	// Jobs is the operator's part of every Job.
	Jobs jobspec.Config
	// Gateway returns how pods reach the asset gateway: nil if the cluster has none, and an
	// error while it is unknown. It may be nil.
	Gateway func() (*jobspec.Gateway, error)
	// Clock is the time that objects are stamped with and timeouts are measured by;
	// the system clock by default.
	Clock clock.PassiveClock
	// Stopwatch is this process's own clock, by which it detects stalls; the system
	// clock by default.
	Stopwatch clock.WithTicker
	// Concurrency is how many groups are reconciled at once; DefaultConcurrency by
	// default.
	Concurrency int
}

// Traces exports the spans of a group that finished, which it must not change.
type Traces interface {
	Finished(tg *v1alpha1.TaskGroup)
}

// DefaultConcurrency is how many groups are reconciled at once by default.
const DefaultConcurrency = 8

// TaskGroupReconciler runs TaskGroups.
type TaskGroupReconciler struct {
	Config
	ledger    *evidence.Ledger
	epochs    *evidence.Epochs
	evidence  *evidence.Collector
	warnings  *warnings
	creations *creations
	delivery  *delivery
	progress  *progressLimiter
	// wakeups are groups to reconcile without an event.
	wakeups chan event.GenericEvent
}

// wakeupBuffer bounds the wake-ups that were sent and not yet taken over by the
// controller's queue. The source takes them over immediately.
const wakeupBuffer = 1024

// NewTaskGroupReconciler validates the config and sets its defaults.
func NewTaskGroupReconciler(cfg Config) (*TaskGroupReconciler, error) {
	if cfg.Client == nil || cfg.APIReader == nil || cfg.Recorder == nil {
		return nil, errors.New("a TaskGroupReconciler needs a Client, an APIReader and a Recorder")
	}
	if cfg.Jobs.RunnerImage == "" || cfg.Jobs.Delivery == "" {
		return nil, errors.New("a TaskGroupReconciler needs the runner's image and its delivery")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Stopwatch == nil {
		cfg.Stopwatch = clock.RealClock{}
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	ledger, epochs := &evidence.Ledger{}, &evidence.Epochs{}
	r := &TaskGroupReconciler{
		Config:   cfg,
		ledger:   ledger,
		epochs:   epochs,
		evidence: &evidence.Collector{Reader: cfg.APIReader, Ledger: ledger, Epochs: epochs},
		warnings: &warnings{reader: cfg.APIReader, clock: cfg.Stopwatch},
		delivery: &delivery{configured: cfg.Jobs.Delivery},
		progress: newProgressLimiter(cfg.Concurrency),
		wakeups:  make(chan event.GenericEvent, wakeupBuffer),
	}
	r.creations = newCreations(cfg.Stopwatch)
	return r, nil
}

// +kubebuilder:rbac:groups=kubernetes.covalent.xyz,resources=taskgroups,verbs=list;watch;delete
// +kubebuilder:rbac:groups=kubernetes.covalent.xyz,resources=taskgroups/status,verbs=update
// +kubebuilder:rbac:groups=kubernetes.covalent.xyz,resources=taskgroups/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Reconcile moves a TaskGroup one step towards its final state: it reads what is
// known (load), decides purely (plan.Decide), confirms and changes at most one
// object (apply), and writes at most one status (report).
//
// It may be called at any time and any number of times, also concurrently by
// another operator: a decision that is based on an outdated observation is refused
// by its evidence, by a precondition, or by the optimistic lock of the status. A
// group in a steady state causes no request.
func (r *TaskGroupReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer r.admitProgress()
	observed, err := r.load(ctx, req.NamespacedName)
	if observed == nil || err != nil {
		return resultOf(err)
	}
	now := r.Clock.Now()
	decided := plan.Decide(observed.Observed, now)
	applied, err := r.apply(ctx, observed, decided, now)
	if err != nil {
		return resultOf(err)
	}
	wait, err := r.report(ctx, observed, &applied, now)
	if err != nil {
		return resultOf(err)
	}
	return ctrl.Result{RequeueAfter: sooner(wait, applied.RequeueAfter, observed.NextRead)}, nil
}

// sooner returns the shortest of several waits, of which 0 is forever.
func sooner(waits ...time.Duration) time.Duration {
	shortest := time.Duration(0)
	for _, wait := range waits {
		if wait > 0 && (shortest == 0 || wait < shortest) {
			shortest = wait
		}
	}
	return shortest
}

// wake has a group reconciled.
func (r *TaskGroupReconciler) wake(group reconcile.Request) {
	tg := &v1alpha1.TaskGroup{}
	tg.Namespace, tg.Name = group.Namespace, group.Name
	r.wakeups <- event.GenericEvent{Object: tg}
}

// SetupWithManager watches TaskGroups, the Jobs they own, and their pods. A pod is
// owned by its Job, so an annotation contains the name of its group.
func (r *TaskGroupReconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := indexPodsByGroup(mgr); err != nil {
		return err
	}
	if err := registerMetrics(metrics.Registry, mgr.GetCache()); err != nil {
		return err
	}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.epochs.Run(ctx, r.Stopwatch) })); err != nil {
		return fmt.Errorf("adding the heartbeat: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.TaskGroup{}, builder.WithPredicates(r.createdGroups())).
		Owns(&batchv1.Job{}, builder.WithPredicates(r.jobChanges())).
		Watches(&corev1.Pod{}, r.podHandler()).
		WatchesRawSource(source.Channel(r.wakeups, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency, RateLimiter: newRateLimiter()}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the TaskGroup controller: %w", err)
	}
	return nil
}
