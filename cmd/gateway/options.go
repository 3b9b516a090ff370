// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket"
)

// Options are the settings of the gateway.
type Options struct {
	// Volume is the folder of the objects, unless they are in a bucket.
	Volume string
	// Bucket is the URI of the bucket of the objects, or of a folder in it; empty for a
	// volume.
	Bucket string
	// UploadDir is the folder for uploads to the bucket that are being received.
	UploadDir string
	// UploadSpace is the largest number of bytes of these uploads.
	UploadSpace int64
	// Address serves the objects over HTTPS, and the metrics.
	Address string
	// ProbeAddress serves the probes of the kubelet over HTTP.
	ProbeAddress string
	// Kubeconfig is a file; the service account of the pod is used if it is empty.
	Kubeconfig string
	// Namespace, Service, SecretName and ConfigMap are the objects of the installation.
	Namespace, Service, SecretName, ConfigMap string
	// HostNames are further names in the certificate.
	HostNames []string
	// Quota is the largest number of bytes of a namespace, Quotas those of single ones.
	Quota  int64
	Quotas map[string]int64
	// GroupGrace, ContentGrace and CollectInterval are the periods of the garbage collection.
	GroupGrace, ContentGrace, CollectInterval time.Duration
	// MaxTransfers is the number of transfers at a time.
	MaxTransfers int
	LogLevel     slog.Level
	// Version prints the version instead of running the gateway.
	Version bool
}

// parseOptions reads the command line; it returns flag.ErrHelp after --help.
func parseOptions(args []string, stderr io.Writer) (*Options, error) {
	o := &Options{Quotas: map[string]int64{}}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Volume, "volume", "/data", "folder of the objects, on a volume of its own")
	flags.StringVar(&o.Bucket, "bucket", "", "bucket of the objects instead of a volume, such as s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix, with credentials in the environment; it has no quotas and no garbage collection")
	flags.StringVar(&o.UploadDir, "upload-dir", os.TempDir(), "folder for uploads to the bucket that are being received")
	flags.Func("upload-space", "largest size of these uploads, such as 10Gi; further ones are refused and retried; 0 is no limit (default 0)", func(s string) (err error) {
		o.UploadSpace, err = parseSize(s)
		return err
	})
	flags.StringVar(&o.Address, "bind-address", ":8443", "address of the objects and the metrics, over HTTPS")
	flags.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz, over HTTP")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig outside of a cluster")
	flags.StringVar(&o.Namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "taskgroup-system"), "namespace of the gateway (default $POD_NAMESPACE)")
	flags.StringVar(&o.Service, "service", "taskgroup-gateway", "Service of the gateway")
	flags.StringVar(&o.SecretName, "tls-secret", "taskgroup-gateway-tls", "Secret of the certificates, which has to exist")
	flags.StringVar(&o.ConfigMap, "ca-config-map", "taskgroup-gateway-ca", "ConfigMap for the authorities, which has to exist")
	flags.Func("host-name", "further host name in the certificate, such as that of an external URL (may be repeated)", func(s string) error {
		o.HostNames = append(o.HostNames, s)
		return nil
	})
	flags.Func("quota", "largest size of the objects of each namespace, such as 5Gi; 0 is no quota (default 0)", func(s string) (err error) {
		o.Quota, err = parseSize(s)
		return err
	})
	flags.Func("namespace-quota", "quota of one namespace, such as team-a=20Gi (may be repeated)", func(s string) (err error) {
		namespace, size, _ := strings.Cut(s, "=")
		o.Quotas[namespace], err = parseSize(size)
		return err
	})
	flags.DurationVar(&o.GroupGrace, "results-grace", time.Hour, "time for which results are kept after their TaskGroup was deleted")
	flags.DurationVar(&o.ContentGrace, "inputs-grace", 24*time.Hour, "time for which inputs are kept that no TaskGroup names")
	flags.DurationVar(&o.CollectInterval, "collect-interval", 10*time.Minute, "time between two passes of the garbage collection")
	flags.IntVar(&o.MaxTransfers, "max-transfers", 128, "transfers at a time; further ones wait")
	flags.TextVar(&o.LogLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	flags.BoolVar(&o.Version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.Validate()
}

// Validate returns an error that names every wrong option.
func (o *Options) Validate() error {
	var errs []error
	errs = append(errs, o.validateStorage())
	for name, duration := range map[string]time.Duration{"results-grace": o.GroupGrace, "inputs-grace": o.ContentGrace, "collect-interval": o.CollectInterval} {
		if duration <= 0 {
			errs = append(errs, fmt.Errorf("--%s is %s, want a positive duration", name, duration))
		}
	}
	if o.MaxTransfers <= 0 {
		errs = append(errs, fmt.Errorf("--max-transfers is %d, want a positive number", o.MaxTransfers))
	}
	for namespace := range o.Quotas {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--namespace-quota: %q is not a namespace", namespace))
		}
	}
	for _, host := range o.HostNames {
		if problems := validation.IsDNS1123Subdomain(host); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--host-name: %q is not a host name", host))
		}
	}
	return errors.Join(errs...)
}

// validateStorage returns an error for options of the volume and the bucket.
func (o *Options) validateStorage() error {
	if o.Bucket == "" {
		if o.Volume == "" {
			return errors.New("--volume is required")
		}
		return nil
	}
	var errs []error
	if err := bucket.CheckURI(o.Bucket); err != nil {
		errs = append(errs, fmt.Errorf("--bucket: %w", err))
	} else if backendOf(o.Bucket) == nil {
		errs = append(errs, errors.New("--bucket: the schemes are azblob, gs and s3"))
	}
	if o.UploadDir == "" {
		errs = append(errs, errors.New("--upload-dir is required"))
	}
	if o.Quota > 0 || len(o.Quotas) > 0 {
		errs = append(errs, errors.New("--quota and --namespace-quota are those of a volume: limit the bucket itself"))
	}
	return errors.Join(errs...)
}

// quota returns the quota of a namespace; 0 for none.
func (o *Options) quota(namespace string) int64 {
	if quota, ok := o.Quotas[namespace]; ok {
		return quota
	}
	return o.Quota
}

// parseSize reads a quantity of bytes.
func parseSize(text string) (int64, error) {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, err
	}
	if quantity.Sign() < 0 {
		return 0, errors.New("a size is not negative")
	}
	return quantity.Value(), nil
}
