// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/executor/watch"
)

// Cluster is a namespace of a cluster: the client for it, and the one watch that
// all polls in it share. The watch begins with the first poll.
type Cluster struct {
	// Namespace is where TaskGroups are.
	Namespace string

	client   client.WithWatch
	context  string
	identity Identity
	watch    *watch.Groups
	// lookups are lists of a dispatch's groups under way. A dispatcher cancels all
	// nodes of a dispatch at once, and one list answers them all.
	lookups singleflight.Group
	// cache has the files that receives wrote.
	cache results.Cache

	api          *rest.Config
	gatewaysLock sync.Mutex
	// gateways are by their address and their account.
	gateways map[[2]string]*gateway.Gateway
}

// ClusterConfig is what a Cluster is made of.
type ClusterConfig struct {
	// Client does not cache and has the TaskGroup API in its scheme; see NewClient.
	Client client.WithWatch
	// Namespace is where TaskGroups are; "default" if empty.
	Namespace string
	// API is the configuration of the client, for the asset gateway.
	API *rest.Config
	// Context and Identity are part of each handle, so that it is used for no other
	// cluster; see ClusterSettings.Load.
	Context  string
	Identity Identity
	// Log receives a line when the watch breaks; nothing is logged by default.
	Log logr.Logger
	// Observe is called for every TaskGroup that has finished, each time the watch
	// reports it, with what a poll keeps of it; it must not block.
	Observe func(*v1alpha1.TaskGroup)
	// Doubt is how long the watch may not know a group that is polled until the
	// group is read; 2 s if 0.
	Doubt time.Duration
	// Grace is how long a watch that was never allowed may be so until polls fail
	// with it, since a role may be on its way; 15 s if 0.
	Grace time.Duration
}

// NewCluster makes a Cluster. It sends no requests.
func NewCluster(config ClusterConfig) *Cluster {
	if config.Namespace == "" {
		config.Namespace = "default"
	}
	return &Cluster{
		Namespace: config.Namespace, client: config.Client, context: config.Context, identity: config.Identity, api: config.API,
		watch: watch.New(watch.Config{
			Client: config.Client, Namespace: config.Namespace, Log: config.Log, Observe: config.Observe, Doubt: config.Doubt, Grace: config.Grace,
		}),
	}
}

// checkHandle refuses a handle of another cluster: its group would not be found, and be
// taken for deleted while it runs.
func (c *Cluster) checkHandle(handle *Handle) error {
	if c.identity.matches(handle) {
		return nil
	}
	return errorf(ErrConfiguration, "TaskGroup %s is in the cluster at %s, and context %q of the kubeconfig selects the cluster at %s: restore the context",
		handle.Name, handle.Server, handle.Context, c.identity.Server)
}

// Close ends the watch, and with ErrUnavailable the polls that wait for it.
func (c *Cluster) Close() { c.watch.Stop(errorf(ErrUnavailable, "the executor stops")) }

// StartWatch begins the watch where no poll has yet.
func (c *Cluster) StartWatch() { c.watch.Start() }

// groupsOf lists the groups of a dispatch.
func (c *Cluster) groupsOf(ctx context.Context, dispatchID string) ([]v1alpha1.TaskGroup, error) {
	answer := c.lookups.DoChan(dispatchID, func() (any, error) {
		// Not the caller's context: others wait for the same answer.
		var list v1alpha1.TaskGroupList
		err := persist(context.WithoutCancel(ctx), callPatience, func(ctx context.Context) error {
			return c.client.List(ctx, &list, client.InNamespace(c.Namespace), client.MatchingFields{"spec.dispatchID": dispatchID})
		})
		return list.Items, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answer:
		return a.Val.([]v1alpha1.TaskGroup), a.Err
	}
}

// NewClient makes the client that a Cluster needs. It does not request anything of the cluster
// before it is used.
func NewClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, errorf(ErrInternal, "registering the API types: %w", err)
	}
	// Secrets are created, for presigned URLs, and never read.
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Secret{})
	gateway.AddToScheme(scheme)
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: groupMapper()})
	if err != nil {
		return nil, errorf(ErrConfiguration, "making a client: %w", err)
	}
	return c, nil
}

// groupMapper maps the kinds that are requested, so that nothing has to be discovered.
func groupMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion, corev1.SchemeGroupVersion})
	mapper.Add(v1alpha1.GroupVersion.WithKind("TaskGroup"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	gateway.AddToMapper(mapper)
	return mapper
}
