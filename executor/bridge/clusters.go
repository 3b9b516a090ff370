package bridge

import (
	"sync"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// clusters are those that requests named: a client for each kubeconfig and context,
// a watch for each namespace. There are as many as an installation has.
type clusters struct {
	log logr.Logger
	// observer makes what is told of ends in a namespace; nil for nobody.
	observer func(client.WithWatch) observe

	mu      sync.Mutex
	clients map[executor.ClusterSettings]connection
	byName  map[executor.ClusterSettings]*executor.Cluster
}

type connection struct {
	client    client.WithWatch
	namespace string
}

func newClusters(log logr.Logger) *clusters {
	return &clusters{log: log, clients: map[executor.ClusterSettings]connection{}, byName: map[executor.ClusterSettings]*executor.Cluster{}}
}

// get returns a cluster, connecting where it is the first to ask.
func (c *clusters) get(settings executor.ClusterSettings) (*executor.Cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	base := executor.ClusterSettings{Kubeconfig: settings.Kubeconfig, Context: settings.Context}
	known, ok := c.clients[base]
	if !ok {
		config, namespace, err := base.Connect()
		if err != nil {
			return nil, err
		}
		config.UserAgent = "taskgroup-executor"
		connected, err := executor.NewClient(config)
		if err != nil {
			return nil, err
		}
		known = connection{connected, namespace}
		c.clients[base] = known
	}
	if settings.Namespace == "" {
		settings.Namespace = known.namespace
	}
	if cluster := c.byName[settings]; cluster != nil {
		return cluster, nil
	}
	config := executor.ClusterConfig{Client: known.client, Namespace: settings.Namespace, Log: c.log}
	if c.observer != nil {
		config.Observe = c.observer(known.client)
	}
	cluster := executor.NewCluster(config)
	if c.observer != nil {
		cluster.StartWatch()
	}
	c.byName[settings] = cluster
	return cluster, nil
}

func (c *clusters) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cluster := range c.byName {
		cluster.Close()
	}
}
