// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ClusterSettings are a kubeconfig and what to use of it.
type ClusterSettings struct {
	// Kubeconfig is a file; what kubectl would use if empty, or in a pod its
	// service account.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// Context is one of the kubeconfig; the current one if empty.
	Context string `json:"context,omitempty"`
	// Namespace is the namespace of the context if empty.
	Namespace string `json:"namespace,omitempty"`
}

// Connection is what ClusterSettings select at a point in time.
type Connection struct {
	// Config is the configuration for a client.
	Config *rest.Config
	// Context is the name of the context; empty in a pod without a kubeconfig.
	Context string
	// Namespace is where TaskGroups are.
	Namespace string
	Identity  Identity
	// Version changes with the files that the configuration consists of.
	Version string

	files []string
}

// IsOutdated reports whether a file of the configuration was written, replaced or
// removed since Load.
func (c *Connection) IsOutdated() bool { return c.Version != versionOfFiles(c.files) }

// Identity distinguishes clusters: a context may be redefined, and another one become
// the current context, while a group runs.
type Identity struct {
	// Server is the URL of the API server, without credentials.
	Server string
	// CA is the beginning of the SHA-256 of the certificate authority; empty if the
	// kubeconfig has none.
	CA string
}

// matches reports whether a handle may be of this cluster. A server may get another
// address, or another authority, but not both at once. Handles of earlier releases
// identify no cluster.
func (i Identity) matches(handle *Handle) bool {
	return i.Server == "" || handle.Server == "" || handle.Server == i.Server || handle.CA != "" && handle.CA == i.CA
}

// Connect reads the kubeconfig. It returns the configuration for a client and the
// namespace. It makes no request.
func (s ClusterSettings) Connect() (*rest.Config, string, error) {
	connection, err := s.Load()
	if err != nil {
		return nil, "", err
	}
	return connection.Config, connection.Namespace, nil
}

// Load reads the kubeconfig. It makes no request.
func (s ClusterSettings) Load() (*Connection, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: s.Context}
	overrides.Context.Namespace = s.Namespace
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	files := rules.GetLoadingPrecedence()
	if s.Kubeconfig != "" {
		files = []string{s.Kubeconfig}
	}
	// Before the files are read: what is written meanwhile makes the connection outdated.
	version := versionOfFiles(files)
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, errorf(ErrConfiguration, "reading the kubeconfig: %w", err)
	}
	raw, err := loaded.RawConfig()
	if err != nil {
		return nil, errorf(ErrConfiguration, "reading the kubeconfig: %w", err)
	}
	if s.Kubeconfig != "" && len(raw.Contexts) == 0 {
		// In a pod, the service account would replace a file that is being written.
		return nil, errorf(ErrConfiguration, "reading the kubeconfig: %s has no context", s.Kubeconfig)
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return nil, errorf(ErrConfiguration, "reading the kubeconfig: %w", err)
	}
	// client-go reads certificates and tokens of their own files again by itself; a
	// certificate authority it does not.
	authority := []string{config.CAFile}
	connection := &Connection{
		Config: config, Context: cmp.Or(s.Context, raw.CurrentContext), Namespace: namespace,
		Version: version + versionOfFiles(authority), files: append(files, authority...),
	}
	if connection.Identity, err = identityOf(config); err != nil {
		return nil, errorf(ErrConfiguration, "reading the kubeconfig: %w", err)
	}
	// The API server's own priority and fairness is the limit.
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return connection, nil
}

// versionOfFiles changes when a file is written, replaced or removed.
func versionOfFiles(files []string) string {
	var version strings.Builder
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(&version, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return version.String()
}

func identityOf(config *rest.Config) (Identity, error) {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return Identity{}, err
	}
	identity := Identity{Server: (&url.URL{Scheme: server.Scheme, Host: server.Host, Path: server.Path}).String()}
	authority := config.CAData
	if len(authority) == 0 && config.CAFile != "" {
		if authority, err = os.ReadFile(config.CAFile); err != nil {
			return Identity{}, err
		}
	}
	if len(authority) > 0 {
		identity.CA = digest(string(authority))[:nameDigits]
	}
	return identity, nil
}
