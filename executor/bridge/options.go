// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/presign"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	defaultStop = 10 * time.Second
	// maxSocketPath is what a Unix address has room for on Linux, in bytes.
	maxSocketPath = 107
	scheme        = "unix://"
)

// Options are the settings of Run.
type Options struct {
	// Listen is unix:///absolute/path.
	Listen string
	// Version is the release's, for clients to compare.
	Version string
	// Stores are the stores of manifests, of uploads and downloads, and of lists of arguments, by
	// the scheme of their URI without "://". Each cluster has a gateway of its own besides.
	Stores map[string]store.Backend
	// Signer makes the URLs of executors with presign; they cannot send without it.
	Signer presign.Signer
	// CallbackHosts are the only hosts that receive callbacks, as host or host:port;
	// none by default.
	CallbackHosts []string
	// Cluster is used by requests that name no kubeconfig; the first of
	// CallbackClusters if it is empty.
	Cluster executor.ClusterSettings
	// Dispatcher is the value of the label kubernetes.covalent.xyz/dispatcher of the
	// groups whose callbacks are sent, and of the groups that are sent without one. With
	// several dispatchers in a namespace each bridge needs it: all groups with an allowed
	// host get their callbacks if it is empty.
	Dispatcher string
	// CallbackClusters are watched from the start, so that a bridge that was killed
	// continues to report. Every namespace that a request names is watched too.
	CallbackClusters []executor.ClusterSettings
	// CallbackRate is how many callbacks are sent in a second; 10 if 0.
	CallbackRate float64
	// StopTimeout is how long requests may continue after the end of ctx; 10 s if 0.
	StopTimeout time.Duration
	// Log is where JSON lines go; os.Stderr if nil.
	Log io.Writer
}

// Validate reports all invalid settings.
func (o *Options) Validate() error {
	path, ok := strings.CutPrefix(o.Listen, scheme)
	switch {
	case !ok || !filepath.IsAbs(path):
		return fmt.Errorf("listen %q: use unix:///absolute/path", o.Listen)
	case len(path) > maxSocketPath:
		return fmt.Errorf("listen: the path has %d bytes, a Unix socket's at most %d", len(path), maxSocketPath)
	case o.StopTimeout < 0 || o.CallbackRate < 0:
		return errors.New("stop timeout and callback rate must not be negative")
	case len(validation.IsValidLabelValue(o.Dispatcher)) > 0:
		return fmt.Errorf("dispatcher %q: %s", o.Dispatcher, validation.IsValidLabelValue(o.Dispatcher)[0])
	}
	for _, host := range o.CallbackHosts {
		if host == "" || strings.ContainsAny(host, "/*@? ") {
			return fmt.Errorf("callback host %q: use a host or host:port", host)
		}
	}
	return nil
}

func (o *Options) setDefaults() {
	if o.StopTimeout == 0 {
		o.StopTimeout = defaultStop
	}
	if o.CallbackRate == 0 {
		o.CallbackRate = defaultCallbackRate
	}
	if o.Log == nil {
		o.Log = os.Stderr
	}
	if o.Cluster == (executor.ClusterSettings{}) && len(o.CallbackClusters) > 0 {
		o.Cluster = o.CallbackClusters[0]
	}
	if o.Version == "" {
		o.Version = "development"
	}
}
