// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator: it runs TaskGroups as Jobs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/taskgroup-operator/taskgroup-operator/controllers"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/internal/memtune"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
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
	if options.Version {
		fmt.Println(version.String())
		return 0
	}
	memtune.LimitGarbage()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.Log)))
	log := ctrl.Log.WithName("setup")
	config, err := ctrl.GetConfig()
	if err != nil {
		log.Error(err, "loading the kubeconfig")
		return 1
	}
	server, err := awaitServer(ctx, config, serverInterval, log)
	if err != nil {
		log.Error(err, "connecting to the API server")
		return 1
	}
	mgr, err := newManager(config, options, server)
	if err != nil {
		log.Error(err, "creating the manager")
		return 1
	}
	if err := mgr.Start(ctx); err != nil {
		log.Error(err, "running the manager")
		return 1
	}
	return 0
}

// newManager wires the reconciler into a manager that is ready to start.
func newManager(config *rest.Config, options *Options, server *apiversion.Info) (ctrl.Manager, error) {
	// The API server's own priority and fairness limits the operator; a second
	// limit here would only add latency.
	config.QPS = -1
	config.Wrap(controllers.Fence())
	serverClock := controllers.NewServerClock(clock.RealClock{})
	config.Wrap(serverClock.Wrap)
	managerOptions, err := options.manager()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	if err := addReconciler(mgr, options.jobs(server), options, serverClock); err != nil {
		return nil, err
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("adding the probes: %w", err)
	}
	return mgr, nil
}

// addReconciler adds the reconciler and the runnables beside it.
func addReconciler(mgr ctrl.Manager, jobs jobspec.Config, options *Options, now clock.PassiveClock) error {
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reading the host name: %w", err)
	}
	recorder := controllers.NewRecorder(mgr.GetClient(), instance)
	traces, err := addTraces(mgr, options, now)
	if err != nil {
		return err
	}
	reconciler, err := controllers.NewTaskGroupReconciler(controllers.Config{
		Client:      mgr.GetClient(),
		APIReader:   mgr.GetAPIReader(),
		Recorder:    recorder,
		Traces:      traces,
		Jobs:        jobs,
		Gateway:     options.gateway,
		Clock:       now,
		Concurrency: options.Concurrency,
	})
	if err != nil {
		return err
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	if err := errors.Join(mgr.Add(recorder), mgr.Add(&memtune.Reclaimer{Log: mgr.GetLogger()})); err != nil {
		return fmt.Errorf("adding the runnables beside the reconciler: %w", err)
	}
	return nil
}
