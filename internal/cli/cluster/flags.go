// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"io"
	"maps"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Flags are those by which kubectl finds its cluster.
type Flags struct {
	kubeconfig string
	overrides  clientcmd.ConfigOverrides
}

// Bind adds the flags under kubectl's names.
func (f *Flags) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "path of the kubeconfig file; $KUBECONFIG or ~/.kube/config by default")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	clientcmd.BindOverrideFlags(&f.overrides, flags, names)
	// What this program authenticates with is in the kubeconfig; kubectl hides none
	// of these, and none of them is why a user reads --help.
	for _, name := range []string{
		"certificate-authority", "client-certificate", "client-key", "disable-compression", "insecure-skip-tls-verify",
		"proxy-url", "tls-server-name", "token", "user", "username", "password", "server", "cluster", "as-uid", "as-user-extra", "request-timeout",
	} {
		if flag := flags.Lookup(name); flag != nil {
			flag.Hidden = true
		}
	}
}

// config resolves the flags, the environment and the files.
func (f *Flags) config() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	rules.WarnIfAllMissing = false
	return clientcmd.NewInteractiveDeferredLoadingClientConfig(rules, &f.overrides, eof{})
}

// eof answers every question about a password with nothing.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// Contexts are the names of those in the kubeconfig.
func (f *Flags) Contexts() []string {
	raw, err := f.config().RawConfig()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(raw.Contexts))
}

// configError is a kubeconfig, or flags, that name no cluster.
type configError struct{ error }

func (e *configError) Error() string { return "reading the kubeconfig: " + e.error.Error() }
func (e *configError) Unwrap() error { return e.error }

// rest is how to reach the API server, and the namespace to work in.
func (f *Flags) rest() (*rest.Config, string, error) {
	config := f.config()
	namespace, _, err := config.Namespace()
	if err != nil {
		return nil, "", &configError{err}
	}
	restConfig, err := config.ClientConfig()
	if err != nil {
		return nil, "", &configError{err}
	}
	restConfig.UserAgent = rest.DefaultKubernetesUserAgent()
	// The API server's own priority and fairness limits a user well enough.
	restConfig.QPS = -1
	restConfig.WarningHandler = rest.NoWarnings{}
	return restConfig, namespace, nil
}
