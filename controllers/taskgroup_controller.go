package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// Config is what a TaskGroupReconciler needs. The clocks and Concurrency have
// defaults.
type Config struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// APIReader reads from the API server; used only where the cache may be
	// behind what is already known.
	APIReader client.Reader
	// Recorder emits one event at the end of a group.
	Recorder events.EventRecorder
	// Jobs is what the operator decides of every Job.
	Jobs jobspec.Config
	// Clock tells the time that objects are stamped with; the real one by default.
	Clock clock.PassiveClock
	// Stopwatch is this process's own, by which it notices that it stood still; the
	// real one by default.
	Stopwatch clock.WithTicker
	// Concurrency is how many groups are reconciled at once; 8 by default.
	Concurrency int
}

const defaultConcurrency = 8

// TaskGroupReconciler runs TaskGroups.
type TaskGroupReconciler struct {
	Config
	memory   memory
	doubt    doubt
	progress *progressRoom
	// enqueue has a group reconciled.
	enqueue func(reconcile.Request)
}

// NewTaskGroupReconciler checks the config and fills in its defaults.
func NewTaskGroupReconciler(cfg Config) (*TaskGroupReconciler, error) {
	if cfg.Client == nil || cfg.APIReader == nil || cfg.Recorder == nil {
		return nil, errors.New("a TaskGroupReconciler needs a Client, an APIReader and a Recorder")
	}
	if cfg.Jobs.RunnerImage == "" || cfg.Jobs.Delivery == "" {
		return nil, errors.New("a TaskGroupReconciler needs the runner's image and how it is delivered")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Stopwatch == nil {
		cfg.Stopwatch = clock.RealClock{}
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultConcurrency
	}
	return &TaskGroupReconciler{Config: cfg, progress: newProgressRoom(cfg.Concurrency)}, nil
}

// +kubebuilder:rbac:groups=kubernetes.covalent.xyz,resources=taskgroups,verbs=list;watch;delete
// +kubebuilder:rbac:groups=kubernetes.covalent.xyz,resources=taskgroups/status,verbs=update
// +kubebuilder:rbac:groups=kubernetes.covalent.xyz,resources=taskgroups/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Reconcile takes one TaskGroup a step on its way.
func (r *TaskGroupReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer r.admitNext()
	looked := r.Stopwatch.Now()
	observed, err := r.load(ctx, req.NamespacedName)
	if errors.Is(err, errCacheBehind) {
		return ctrl.Result{RequeueAfter: cacheLag}, nil
	}
	if err != nil || observed == nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	decided := plan.Decide(observed, now)

	if confirmed, err := r.confirm(ctx, observed, &decided); err != nil || !confirmed {
		return ctrl.Result{RequeueAfter: confirmInterval}, err
	}
	if err := r.apply(sendBefore(ctx, looked.Add(decisionLife)), observed, &decided); err != nil {
		instead, ok := insteadOf(err, observed, now)
		if !ok {
			return ctrl.Result{}, quietConflict(err)
		}
		decided = instead
	}

	wait, err := r.report(ctx, observed, &decided, now)
	if err != nil {
		return ctrl.Result{}, quietConflict(err)
	}
	if observed.Unwatched && !observed.TaskGroup.Status.IsFinished() {
		wait = sooner(wait, confirmInterval)
	}
	return ctrl.Result{RequeueAfter: sooner(wait, decided.RequeueAfter)}, nil
}

// sooner is the shorter of two waits, where 0 is for ever.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// insteadOf is the plan where the API server will not have the one decided on.
func insteadOf(err error, o *plan.Observed, now time.Time) (plan.Plan, bool) {
	if rejected, ok := errors.AsType[*rejectedError](err); ok {
		return plan.Reject(o, rejected.reason, rejected.message, now), true
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return plan.Queue(o, refused.message, now), true
	}
	return plan.Plan{}, false
}

// SetupWithManager watches TaskGroups, the Jobs they own, and their pods. The
// pods' owner is the Job, so they name their group in an annotation.
func (r *TaskGroupReconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := indexPodsByGroup(mgr); err != nil {
		return err
	}
	if err := metrics.Registry.Register(stateCollector{mgr.GetCache()}); err != nil {
		return fmt.Errorf("registering the metric of states: %w", err)
	}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.doubt.keepBeating(ctx, r.Stopwatch) })); err != nil {
		return fmt.Errorf("adding the heartbeat: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.TaskGroup{}, builder.WithPredicates(r.newcomers())).
		Owns(&batchv1.Job{}, builder.WithPredicates(jobChanges())).
		Watches(&corev1.Pod{}, r.podHandler()).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			r.enqueue = func(group reconcile.Request) { queue.Add(group) }
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the TaskGroup controller: %w", err)
	}
	return nil
}
