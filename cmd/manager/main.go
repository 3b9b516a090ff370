// Command manager is the operator: it runs TaskGroups as Jobs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers"
)

func main() {
	os.Exit(run(ctrl.SetupSignalHandler(), os.Args[1:]))
}

// run returns the exit code: 2 for wrong flags, 1 for anything else that failed.
func run(ctx context.Context, args []string) int {
	options, err := parseOptions(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	limitGarbage()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.Log)))
	log := ctrl.Log.WithName("setup")
	config, err := ctrl.GetConfig()
	if err != nil {
		log.Error(err, "no cluster to work for: run in a pod, or set KUBECONFIG")
		return 1
	}
	mgr, err := newManager(config, options)
	if err != nil {
		log.Error(err, "could not start")
		return 1
	}
	if err := mgr.Start(ctx); err != nil {
		log.Error(err, "stopped")
		return 1
	}
	return 0
}

// A standby looks at the lease every second, with jitter, so that it works within
// 17 seconds after the leader was killed, and within three after it was told to end.
const (
	leaseDuration = 14 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = time.Second
)

// newManager wires the reconciler into a manager that is ready to start.
func newManager(config *rest.Config, options *Options) (ctrl.Manager, error) {
	// The API server's own priority and fairness limits the operator; a second
	// limit here would only add latency.
	config.QPS = -1
	config.Wrap(controllers.Fence())
	serverClock := controllers.NewServerClock(clock.RealClock{})
	config.Wrap(serverClock.Wrap)
	scheme := runtime.NewScheme()
	if err := errors.Join(batchv1.AddToScheme(scheme), corev1.AddToScheme(scheme), eventsv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering the API types: %w", err)
	}
	cacheOptions, err := controllers.CacheOptions(options.Namespaces)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  cacheOptions,
		Metrics: metricsserver.Options{
			BindAddress:    options.MetricsAddress,
			SecureServing:  true,
			FilterProvider: guardMetrics,
		},
		PprofBindAddress:              options.ProfileAddress,
		HealthProbeBindAddress:        options.HealthAddress,
		LeaderElection:                options.LeaderElection,
		LeaderElectionNamespace:       options.LeaderNamespace,
		LeaderElectionID:              "taskgroup-operator." + v1alpha1.GroupName,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
	})
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	if err := addReconciler(mgr, config, options, serverClock); err != nil {
		return nil, err
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("adding the probes: %w", err)
	}
	return mgr, nil
}

// addReconciler adds the reconciler and what runs beside it.
func addReconciler(mgr ctrl.Manager, config *rest.Config, options *Options, now clock.PassiveClock) error {
	jobs, err := options.jobs(config)
	if err != nil {
		return err
	}
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for this machine's name: %w", err)
	}
	recorder := controllers.NewRecorder(mgr.GetClient(), instance)
	reconciler, err := controllers.NewTaskGroupReconciler(controllers.Config{
		Client:      mgr.GetClient(),
		APIReader:   mgr.GetAPIReader(),
		Recorder:    recorder,
		Jobs:        jobs,
		Clock:       now,
		Concurrency: options.Concurrency,
	})
	if err != nil {
		return err
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	if err := errors.Join(mgr.Add(recorder), mgr.Add(manager.RunnableFunc(giveBackAtRest))); err != nil {
		return fmt.Errorf("adding what runs beside the reconciler: %w", err)
	}
	return nil
}
