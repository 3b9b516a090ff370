// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/version"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/tracing"
	"github.com/taskgroup-operator/taskgroup-operator/internal/metricsauth"
)

// deliveryAuto derives from the API server's version how the runner can be delivered.
const deliveryAuto jobspec.Delivery = "Auto"

// Options are the operator's settings.
type Options struct {
	DefaultImage string
	// DefaultResources are the resources of the groups that name none.
	DefaultResources corev1.ResourceRequirements
	RunnerImage      string
	RunnerDelivery   jobspec.Delivery
	// PodUser is the default user of pods, or jobspec.NoPodUser.
	PodUser int64
	// Runner are the settings of groups that have none in spec.runner.
	Runner         contract.RunnerSettings
	Concurrency    int
	LeaderElection bool
	// LeaderNamespace is the namespace of the lease; the pod's own where it is empty.
	LeaderNamespace string
	HealthAddress   string
	// MetricsAddress serves the metrics over HTTPS to callers that the API server
	// authenticates and lets read them.
	MetricsAddress string
	// ProfileAddress serves pprof, unauthenticated: for loopback.
	ProfileAddress string
	// GatewayURL is the URL of the asset gateway, for pods; empty for none.
	GatewayURL string
	// GatewayCAFile has the certificates of the gateway's authorities, as PEM.
	GatewayCAFile string
	// Namespaces are those whose TaskGroups are run; all where it is empty.
	Namespaces []string
	// TraceEndpoint is the URL of the collector of traces. TraceEnabled is also true where
	// the environment has it.
	TraceEndpoint string
	TraceEnabled  bool
	// TraceWindow is how long before a start a group may have finished that is exported again.
	TraceWindow time.Duration
	Log         zap.Options
	// Version prints the version instead of running the operator.
	Version bool
}

// parseOptions reads the command line; it returns flag.ErrHelp after --help.
func parseOptions(args []string, stderr io.Writer) (*Options, error) {
	var o Options
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.DefaultImage, "default-image", "", "image of the groups that name none in spec.pod.image")
	o.DefaultResources = corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for name, list := range map[string]corev1.ResourceList{"request": o.DefaultResources.Requests, "limit": o.DefaultResources.Limits} {
		for _, of := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			flags.Func(fmt.Sprintf("default-%s-%s", of, name), fmt.Sprintf("%s %s of the pods of groups that have no spec.pod.resources; none by default", of, name), quantity(list, of))
		}
	}
	flags.StringVar(&o.RunnerImage, "runner-image", "", "image that holds the runner at /runner (required)")
	flags.Func("runner-delivery", "how the runner gets into pods: Auto, ImageVolume (Kubernetes 1.36 or newer) or InitContainer (default Auto)", func(s string) error {
		o.RunnerDelivery = jobspec.Delivery(s)
		return nil
	})
	o.PodUser = jobspec.DefaultPodUser
	flags.Func("pod-user", "user and group ID of pods whose groups set none in spec.pod.securityContext, or none where the cluster assigns them, as OpenShift does (default 65532)", func(s string) (err error) {
		o.PodUser, err = podUser(s)
		return err
	})
	flags.StringVar(&o.Runner.Python, "runner-python", "", "interpreter of functions of groups without spec.runner.python (default python3)")
	flags.Int64Var(&o.Runner.FlushSeconds, "runner-flush-seconds", 0, "shortest time between two uploads of the streams of a running task, for groups without spec.runner.flushSeconds (default 5)")
	flags.Int64Var(&o.Runner.StreamLimitBytes, "runner-stream-limit-bytes", 0, "how much is kept of each stream of a task, for groups without spec.runner.streamLimitBytes (default 64 MiB)")
	flags.Int64Var(&o.Runner.StoreRetrySeconds, "store-retry-seconds", 0, "how long a transfer without progress is retried, for groups without spec.runner.storeRetrySeconds (default 120)")
	flags.Int64Var(&o.Runner.StoreStallSeconds, "store-stall-seconds", 0, "in how many seconds a transfer must move 32 KiB, for groups without spec.runner.storeStallSeconds (default 30)")
	flags.IntVar(&o.Concurrency, "concurrency", controllers.DefaultConcurrency, "how many groups are reconciled at once")
	flags.BoolVar(&o.LeaderElection, "leader-elect", false, "let one of several replicas work at a time")
	flags.StringVar(&o.LeaderNamespace, "leader-election-namespace", "", "namespace of the lease that replicas share; the operator's own by default, outside a cluster it must be named")
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 for none")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", "0", "address of the metrics over HTTPS, such as :8443, for those who may get /metrics; 0 for none")
	flags.StringVar(&o.ProfileAddress, "pprof-bind-address", "", "address of pprof, such as 127.0.0.1:6060; none by default")
	flags.StringVar(&o.GatewayURL, "gateway-url", "", "URL of the asset gateway, for pods whose objects it stores, such as https://taskgroup-gateway.taskgroup-system.svc; none by default")
	flags.StringVar(&o.GatewayCAFile, "gateway-ca-file", "", "file with the certificates of the gateway's authorities, as PEM; it may appear later")
	flags.Func("namespaces", "namespaces whose TaskGroups are run, separated by commas; all by default", func(s string) error {
		o.Namespaces = strings.Split(s, ",")
		return nil
	})
	flags.StringVar(&o.TraceEndpoint, "trace-endpoint", "", "URL of an OpenTelemetry collector that receives traces over OTLP/HTTP, such as http://otel-collector.monitoring:4318; $OTEL_EXPORTER_OTLP_ENDPOINT by default, and none without it")
	flags.DurationVar(&o.TraceWindow, "trace-window", tracing.DefaultWindow, "after a start of the operator, the traces are exported again of groups that finished within this time")
	flags.BoolVar(&o.Version, "version", false, "print the version and exit")
	o.Log.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("reading the flags: %w", err)
	}
	if o.RunnerDelivery == "" {
		o.RunnerDelivery = deliveryAuto
	}
	o.TraceEnabled = cmp.Or(o.TraceEndpoint, os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) != ""
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: see --help", flags.Arg(0))
	}
	if o.Version {
		return &o, nil
	}
	return &o, o.Validate()
}

// Validate names every setting that cannot work.
func (o *Options) Validate() error {
	var errs []error
	if o.RunnerImage == "" {
		errs = append(errs, errors.New("--runner-image is required"))
	}
	switch o.RunnerDelivery {
	case deliveryAuto, jobspec.ImageVolume, jobspec.InitContainer:
	default:
		errs = append(errs, fmt.Errorf("--runner-delivery is Auto, ImageVolume or InitContainer, not %q", o.RunnerDelivery))
	}
	for name, value := range map[string]int64{
		"runner-flush-seconds": o.Runner.FlushSeconds, "runner-stream-limit-bytes": o.Runner.StreamLimitBytes,
		"store-retry-seconds": o.Runner.StoreRetrySeconds, "store-stall-seconds": o.Runner.StoreStallSeconds,
	} {
		if value < 0 {
			errs = append(errs, fmt.Errorf("--%s is %d: it must not be negative", name, value))
		}
	}
	errs = append(errs, o.validateGateway(), o.validateTraces())
	if o.Concurrency < 1 {
		errs = append(errs, fmt.Errorf("--concurrency is at least 1, not %d", o.Concurrency))
	}
	errs = append(errs, o.validateResources()...)
	for _, namespace := range o.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--namespaces: %q is no namespace: %s", namespace, problems[0]))
		}
	}
	if host, _, err := net.SplitHostPort(o.ProfileAddress); o.ProfileAddress != "" && (err != nil || !isLoopback(host)) {
		errs = append(errs, fmt.Errorf("--pprof-bind-address is a loopback address such as 127.0.0.1:6060, not %q: it shows the operator's memory to whoever asks", o.ProfileAddress))
	}
	return errors.Join(errs...)
}

// validateResources names what no pod could be created with.
func (o *Options) validateResources() (errs []error) {
	for _, of := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := o.DefaultResources.Requests[of], o.DefaultResources.Limits[of]
		if request.Sign() < 0 || limit.Sign() < 0 {
			errs = append(errs, fmt.Errorf("--default-%s-request and --default-%s-limit are at least 0", of, of))
		}
		if !limit.IsZero() && request.Cmp(limit) > 0 {
			errs = append(errs, fmt.Errorf("--default-%s-request of %s is over --default-%s-limit of %s", of, &request, of, &limit))
		}
	}
	return errs
}

// quantity reads the amount of a resource into a list.
func quantity(into corev1.ResourceList, of corev1.ResourceName) func(string) error {
	return func(s string) error {
		amount, err := resource.ParseQuantity(s)
		if err != nil {
			return fmt.Errorf("reading %q: %w", s, err)
		}
		into[of] = amount
		return nil
	}
}

// podUser reads an ID that is not root's, or none.
func podUser(s string) (int64, error) {
	if s == "none" {
		return jobspec.NoPodUser, nil
	}
	id, err := strconv.ParseInt(s, 10, 32)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("want an ID from 1 to %d, or none", math.MaxInt32)
	}
	return id, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// A standby reads the lease every second, with jitter, so that it takes over within
// 17 seconds after the leader was killed, and within three after it received SIGTERM.
const (
	leaseDuration = 14 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = time.Second
)

// manager returns the options of the manager.
func (o *Options) manager() (ctrl.Options, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(batchv1.AddToScheme(scheme), corev1.AddToScheme(scheme), eventsv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return ctrl.Options{}, fmt.Errorf("registering the API types: %w", err)
	}
	cacheOptions, err := controllers.CacheOptions(o.Namespaces)
	if err != nil {
		return ctrl.Options{}, err
	}
	return ctrl.Options{
		Scheme: scheme,
		Cache:  cacheOptions,
		Metrics: metricsserver.Options{
			BindAddress:    o.MetricsAddress,
			SecureServing:  true,
			FilterProvider: metricsauth.FilterProvider,
		},
		PprofBindAddress:              o.ProfileAddress,
		HealthProbeBindAddress:        o.HealthAddress,
		LeaderElection:                o.LeaderElection,
		LeaderElectionNamespace:       o.LeaderNamespace,
		LeaderElectionID:              "taskgroup-operator." + v1alpha1.GroupName,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
	}, nil
}

func (o *Options) validateTraces() error {
	if o.TraceWindow <= 0 {
		return fmt.Errorf("--trace-window is %s: it must be positive", o.TraceWindow)
	}
	if o.TraceEndpoint == "" {
		return nil
	}
	if err := tracing.ValidateEndpoint(o.TraceEndpoint); err != nil {
		return fmt.Errorf("--trace-endpoint: %w", err)
	}
	return nil
}

func (o *Options) validateGateway() error {
	if (o.GatewayURL == "") != (o.GatewayCAFile == "") {
		return errors.New("--gateway-url and --gateway-ca-file belong together")
	}
	if o.GatewayURL == "" {
		return nil
	}
	address, err := url.Parse(o.GatewayURL)
	if err != nil || address.Scheme != "https" || address.Host == "" || strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.User != nil {
		return fmt.Errorf("--gateway-url is https://host or https://host:port, not %q", o.GatewayURL)
	}
	return nil
}

// jobs resolves the settings that depend on the version of the API server.
func (o *Options) jobs(server *version.Info) jobspec.Config {
	jobs := jobspec.Config{DefaultImage: o.DefaultImage, DefaultResources: o.DefaultResources, RunnerImage: o.RunnerImage, Delivery: o.RunnerDelivery, PodUser: o.PodUser, Runner: o.Runner}
	if jobs.Delivery != deliveryAuto {
		return jobs
	}
	jobs.Delivery = jobspec.ImageVolume
	if minorOf(server) < imageVolumeMinor {
		jobs.Delivery = jobspec.InitContainer
	}
	return jobs
}
