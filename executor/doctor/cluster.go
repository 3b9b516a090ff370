// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// oldestServer is the oldest API server that compiles the rules of the CRD.
var oldestServer = version.MustParseGeneric("1.33")

// maxLog bounds the part of a pod's log that is read, in bytes.
const maxLog = 64 << 10

// Cluster is a connection to one namespace.
type Cluster struct {
	Client client.WithWatch
	// Namespace is where the groups are.
	Namespace string
	// Server is the URL of the API server.
	Server string
	// Get reads a path of the API server that is no object, such as /version.
	Get func(ctx context.Context, path string) ([]byte, error)
	// Logs reads the log of a pod.
	Logs func(ctx context.Context, namespace, pod string) ([]byte, error)
}

// Scheme has the kinds that the checks read and write.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), authorizationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering the API types: %w", err)
	}
	return scheme, nil
}

// mapper has the paths of the kinds, so that the client does not request the discovery.
func mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, v1alpha1.GroupVersion})
	for kind, scope := range map[schema.GroupVersionKind]meta.RESTScope{
		v1alpha1.GroupVersion.WithKind("TaskGroup"):                            meta.RESTScopeNamespace,
		corev1.SchemeGroupVersion.WithKind("Pod"):                              meta.RESTScopeNamespace,
		corev1.SchemeGroupVersion.WithKind("Namespace"):                        meta.RESTScopeRoot,
		authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"): meta.RESTScopeRoot,
	} {
		mapper.Add(kind, scope)
	}
	return mapper
}

// Connect makes a connection. It makes no request.
func Connect(config *rest.Config, namespace string) (*Cluster, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	shared, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper(), HTTPClient: shared})
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(config, shared)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return &Cluster{
		Client: c, Namespace: namespace, Server: config.Host,
		Get: func(ctx context.Context, path string) ([]byte, error) {
			return core.RESTClient().Get().AbsPath(path).Do(ctx).Raw()
		},
		Logs: func(ctx context.Context, namespace, pod string) ([]byte, error) {
			return core.Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{LimitBytes: new(int64(maxLog))}).DoRaw(ctx)
		},
	}, nil
}

func (d *doctor) checkCluster(ctx context.Context) Check {
	cluster, err := d.Connect()
	if err != nil {
		next := "where kubectl works, this program works: kubectl config view shows what is set"
		if explained, ok := errors.AsType[*ConnectError](err); ok && explained.Next != "" {
			next = explained.Next
		}
		return failed("%s", err).next("%s", next)
	}
	d.cluster = cluster
	raw, err := cluster.Get(ctx, "/version")
	if err != nil {
		return d.refused("reading the version of the API server", err)
	}
	var server struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(raw, &server); err != nil {
		return failed("%s is no Kubernetes API server: %s", cluster.Server, err).next("correct the URL of the cluster in the kubeconfig")
	}
	found, err := version.ParseGeneric(server.GitVersion)
	if err == nil && found.LessThan(oldestServer) {
		return failed("Kubernetes %s at %s is too old", server.GitVersion, cluster.Server).next("use a cluster of version %s or newer", oldestServer)
	}
	return ok("Kubernetes %s at %s", server.GitVersion, cluster.Server)
}

// refused is the check whose request the API server did not grant.
func (d *doctor) refused(doing string, err error) Check {
	check := failed("%s: %s", doing, err)
	var status apierrors.APIStatus
	switch {
	case !errors.As(err, &status):
		return check.next("check that the cluster runs and that this machine reaches %s: kubectl version", d.cluster.Server)
	case apierrors.IsUnauthorized(err):
		return check.next("renew the credentials of the kubeconfig: they are wrong or have expired")
	case apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return check.next("wait until the namespace is deleted and create it again, or use another one")
	case apierrors.IsForbidden(err):
		return check.next("ask an administrator for a RoleBinding to the ClusterRole taskgroup-executor, or change what the message names: a quota or a policy may refuse it, too")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return check.next("correct the option that the message names: kubectl explain taskgroup.spec")
	case apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces":
		return check.next("kubectl create namespace %s, or use another one", d.cluster.Namespace)
	}
	return check.next("repeat the check: the API server may be overloaded")
}

func isNotFound(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusNotFound
}
