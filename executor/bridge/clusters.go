// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// clusters are the clusters that requests named: a client for each context of a
// kubeconfig, a watch for each namespace. There are as many as an installation has.
//
// A kubeconfig is read again when one of its files has changed, since tokens are renewed
// in it. The clients then send the new credentials, and what the watches have observed
// is kept.
type clusters struct {
	log logr.Logger
	// defaults replace what a request does not set.
	defaults executor.ClusterSettings
	// observer makes the observer of the finished groups in a namespace; nil for none.
	observer func(client.WithWatch) observe

	mu sync.Mutex
	// resolved are by the kubeconfig and the context of requests, where the context may
	// be empty.
	resolved map[executor.ClusterSettings]*executor.Connection
	// connections are by the kubeconfig and the name of a context.
	connections map[executor.ClusterSettings]*connection
	byName      map[executor.ClusterSettings]*executor.Cluster
}

// connection is a client and the version of the credentials that it sends.
type connection struct {
	client    client.WithWatch
	api       *rest.Config
	transport *transport
	identity  executor.Identity
	version   string
}

func newClusters(log logr.Logger, defaults executor.ClusterSettings) *clusters {
	return &clusters{
		log: log, defaults: defaults, resolved: map[executor.ClusterSettings]*executor.Connection{},
		connections: map[executor.ClusterSettings]*connection{}, byName: map[executor.ClusterSettings]*executor.Cluster{},
	}
}

// get returns a cluster, and connects to it if necessary.
func (c *clusters) get(settings executor.ClusterSettings) (*executor.Cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	settings = withDefaults(settings, c.defaults)
	found, err := c.resolve(executor.ClusterSettings{Kubeconfig: settings.Kubeconfig, Context: settings.Context})
	if err != nil {
		return nil, err
	}
	settings.Context = found.Context
	connected, err := c.connect(executor.ClusterSettings{Kubeconfig: settings.Kubeconfig, Context: settings.Context}, found)
	if err != nil {
		return nil, err
	}
	settings.Namespace = cmp.Or(settings.Namespace, found.Namespace)
	if cluster := c.byName[settings]; cluster != nil {
		return cluster, nil
	}
	config := executor.ClusterConfig{
		API: connected.api, Client: connected.client, Namespace: settings.Namespace, Context: settings.Context, Identity: connected.identity, Log: c.log,
	}
	if c.observer != nil {
		config.Observe = c.observer(connected.client)
	}
	cluster := executor.NewCluster(config)
	if c.observer != nil {
		cluster.StartWatch()
	}
	c.byName[settings] = cluster
	return cluster, nil
}

// withDefaults completes settings. Another kubeconfig has other contexts, and another
// context another namespace.
func withDefaults(settings, defaults executor.ClusterSettings) executor.ClusterSettings {
	if settings.Kubeconfig != "" && settings.Kubeconfig != defaults.Kubeconfig {
		return settings
	}
	settings.Kubeconfig = defaults.Kubeconfig
	if settings.Context != "" && settings.Context != defaults.Context {
		return settings
	}
	settings.Context = defaults.Context
	settings.Namespace = cmp.Or(settings.Namespace, defaults.Namespace)
	return settings
}

// resolve reads a kubeconfig that is new or has changed. One that cannot be read may be
// being written: the previous one is used until the next request.
func (c *clusters) resolve(base executor.ClusterSettings) (*executor.Connection, error) {
	known := c.resolved[base]
	if known != nil && !known.IsOutdated() {
		return known, nil
	}
	loaded, err := base.Load()
	if err != nil {
		if known == nil {
			return nil, fmt.Errorf("connecting to a cluster: %w", err)
		}
		c.log.Info("The kubeconfig has changed and cannot be read; the previous one is used", "error", err.Error())
		return known, nil
	}
	loaded.Config.UserAgent = "taskgroup-executor"
	c.resolved[base] = loaded
	return loaded, nil
}

// connect returns the client of a context, with the credentials that the kubeconfig has
// now. A context that was redefined gets another client and other watches.
func (c *clusters) connect(base executor.ClusterSettings, found *executor.Connection) (*connection, error) {
	known := c.connections[base]
	if known != nil && known.version == found.Version {
		return known, nil
	}
	if known != nil && known.identity == found.Identity {
		if err := known.transport.renew(found.Config); err != nil {
			c.log.Info("The kubeconfig has changed and cannot be used; the previous credentials are used", "error", err.Error())
			return known, nil
		}
		known.version = found.Version
		c.log.Info("The kubeconfig has changed; its credentials are used from now on", "context", base.Context)
		return known, nil
	}
	renewing, config, err := newTransport(found.Config)
	if err != nil {
		return nil, err
	}
	connected, err := executor.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", found.Identity.Server, err)
	}
	for settings, cluster := range c.byName {
		if settings.Kubeconfig == base.Kubeconfig && settings.Context == base.Context {
			delete(c.byName, settings)
			// Not here: it waits for the watch.
			go cluster.Close()
		}
	}
	c.connections[base] = &connection{client: connected, api: config, transport: renewing, identity: found.Identity, version: found.Version}
	return c.connections[base], nil
}

func (c *clusters) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cluster := range c.byName {
		cluster.Close()
	}
}
