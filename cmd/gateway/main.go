// SPDX-License-Identifier: Apache-2.0

// Command gateway is the asset gateway: it stores the inputs and results of TaskGroups
// on a volume or in a bucket.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/access"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/certs"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/collect"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/index"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 2 for wrong flags, 1 for anything else that failed.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	options, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if options.Version {
		fmt.Fprintln(os.Stdout, version.String())
		return 0
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: options.LogLevel}))
	if err := serve(ctx, options, log); err != nil {
		log.Error("running the gateway", "error", err.Error())
		return 1
	}
	return 0
}

// serve runs everything until ctx is done or a listener fails.
func serve(ctx context.Context, options *Options, log *slog.Logger) error {
	stored, err := openStorage(options, log)
	if err != nil {
		return err
	}
	defer func() { _ = stored.close() }()
	parts, err := newParts(options, stored, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, loop := range parts.loops {
		wg.Go(func() { loop(ctx) })
	}
	listeners := []server.Listener{
		{Address: options.ProbeAddress, Handler: server.Probes(parts.isReady)},
		{Address: options.Address, Handler: parts.handler, After: parts.keeper.Ready(), TLS: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: parts.keeper.Certificate}},
	}
	errs := make([]error, len(listeners))
	for i, listener := range listeners {
		listener.Log = log
		wg.Go(func() {
			errs[i] = listener.Run(ctx)
			cancel()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// parts are what runs beside the listeners.
type parts struct {
	watches *access.Watches
	keeper  *certs.Keeper
	handler *server.Handler
	// registry has all metrics.
	registry *prometheus.Registry
	// loops run until the gateway stops.
	loops []func(context.Context)
}

func newParts(options *Options, stored *storage, log *slog.Logger) (*parts, error) {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("loading the kubeconfig: %w", err)
	}
	// The API server's own priority and fairness limits the gateway.
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	p := &parts{}
	if p.watches, err = access.NewWatches(config); err != nil {
		return nil, err
	}
	p.keeper = certs.NewKeeper(certs.Config{
		Secrets: client.CoreV1().Secrets(options.Namespace), ConfigMaps: client.CoreV1().ConfigMaps(options.Namespace),
		SecretName: options.SecretName, ConfigMap: options.ConfigMap, Names: append(certs.Hosts(options.Service, options.Namespace), options.HostNames...), Log: log,
	})
	indexes := index.New(func(l objectpath.Location) (io.ReadCloser, error) { return stored.objects.Open(l) })
	registry := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		server.State{Usage: stored.usage, Quota: options.quota, Space: stored.space, CheckVolume: stored.check, Expiry: p.keeper.Expiry},
	} {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering the metrics: %w", err)
		}
	}
	p.registry = registry
	p.loops = append(stored.loops, p.watches.Run, p.keeper.Run)
	if stored.volume != nil {
		collector, err := collect.New(collect.Config{
			Volume: stored.volume, TaskGroups: p.watches, Indexes: indexes, Storage: stored.volume.State("collector"), Registry: registry, Log: log,
			GroupGrace: options.GroupGrace, ContentGrace: options.ContentGrace, Interval: options.CollectInterval,
		})
		if err != nil {
			return nil, err
		}
		p.loops = append(p.loops, collector.Run)
	}
	reviewer, err := access.NewReviewer(access.Config{
		Tokens: client.AuthenticationV1().TokenReviews(), Accesses: client.AuthorizationV1().SubjectAccessReviews(), Directory: p.watches, Indexes: indexes,
	})
	if err != nil {
		return nil, err
	}
	p.handler, err = server.NewHandler(server.Config{Objects: stored.objects, Reviewer: reviewer, Registry: registry, Log: log, MaxTransfers: options.MaxTransfers})
	return p, err
}

func (p *parts) isReady() bool { return p.watches.HasSynced() && !p.keeper.Expiry().IsZero() }
