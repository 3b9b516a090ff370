package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// deliveryAuto asks the API server's version how the runner can be delivered.
const deliveryAuto jobspec.Delivery = "Auto"

// Options are the operator's settings.
type Options struct {
	DefaultImage   string
	RunnerImage    string
	RunnerDelivery jobspec.Delivery
	Concurrency    int
	LeaderElection bool
	HealthAddress  string
	Log            zap.Options
}

// parseOptions reads the command line; it returns flag.ErrHelp after --help.
func parseOptions(args []string, stderr io.Writer) (*Options, error) {
	var o Options
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.DefaultImage, "default-image", "", "image of the groups that name none in spec.pod.image")
	flags.StringVar(&o.RunnerImage, "runner-image", "", "image that holds the runner at /runner (required)")
	flags.Func("runner-delivery", "how the runner gets into pods: Auto, ImageVolume (Kubernetes 1.36 or newer) or InitContainer (default Auto)", func(s string) error {
		o.RunnerDelivery = jobspec.Delivery(s)
		return nil
	})
	flags.IntVar(&o.Concurrency, "concurrency", 8, "how many groups are reconciled at once")
	flags.BoolVar(&o.LeaderElection, "leader-elect", false, "let one of several replicas work at a time")
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 for none")
	o.Log.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("reading the flags: %w", err)
	}
	if o.RunnerDelivery == "" {
		o.RunnerDelivery = deliveryAuto
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: see --help", flags.Arg(0))
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
	if o.Concurrency < 1 {
		errs = append(errs, fmt.Errorf("--concurrency is at least 1, not %d", o.Concurrency))
	}
	return errors.Join(errs...)
}

// jobs resolves what depends on the cluster.
func (o *Options) jobs(config *rest.Config) (jobspec.Config, error) {
	jobs := jobspec.Config{DefaultImage: o.DefaultImage, RunnerImage: o.RunnerImage, Delivery: o.RunnerDelivery}
	if jobs.Delivery != deliveryAuto {
		return jobs, nil
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return jobs, fmt.Errorf("asking the API server's version: %w", err)
	}
	version, err := client.ServerVersion()
	if err != nil {
		return jobs, fmt.Errorf("asking the API server's version: %w", err)
	}
	jobs.Delivery = deliveryFor(version.Major, version.Minor)
	return jobs, nil
}

// deliveryFor chooses by the server's version. Image volumes are on by default
// since 1.36; some providers append a plus sign to the minor version.
func deliveryFor(major, minor string) jobspec.Delivery {
	const firstMinor = 36
	n, err := strconv.Atoi(strings.TrimRight(minor, "+"))
	if err != nil || (major == "1" && n < firstMinor) {
		return jobspec.InitContainer
	}
	return jobspec.ImageVolume
}
