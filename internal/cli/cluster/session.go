// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// Session is a connection to one cluster.
type Session struct {
	Client client.WithWatch
	// Namespace is the one to work in.
	Namespace string
	// Logs opens the log of a pod.
	Logs func(ctx context.Context, pod client.ObjectKey, options *corev1.PodLogOptions) (io.ReadCloser, error)
	// Exec runs a command in a container of a pod. A command that fails is an
	// exec.CodeExitError.
	Exec func(ctx context.Context, pod client.ObjectKey, container string, command []string, stdout, stderr io.Writer) error
	// Clock measures the delays of retries; the machine's by default.
	Clock clock.Clock
	// Config is the configuration of the connection.
	Config *rest.Config
	// Version returns the API server's.
	Version func(ctx context.Context) (string, error)
}

// Scheme has the kinds that this program reads and writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), authorizationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering the API types: %w", err)
	}
	gateway.AddToScheme(scheme)
	return scheme, nil
}

// mapper has where the kinds are served, so that no command starts with discovery
// the API server for all it has.
func mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, v1alpha1.GroupVersion})
	mapper.Add(v1alpha1.GroupVersion.WithKind("TaskGroup"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	mapper.Add(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"), meta.RESTScopeRoot)
	gateway.AddToMapper(mapper)
	return mapper
}

// Connect makes a session; nothing is sent yet.
func (f *Flags) Connect() (*Session, error) {
	config, namespace, err := f.rest()
	if err != nil {
		return nil, err
	}
	types, err := Scheme()
	if err != nil {
		return nil, err
	}
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: types, Mapper: mapper(), HTTPClient: http})
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(config, http)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return &Session{
		Client: c, Namespace: namespace, Config: config,
		Logs: func(ctx context.Context, pod client.ObjectKey, options *corev1.PodLogOptions) (io.ReadCloser, error) {
			return core.Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
		},
		Exec: func(ctx context.Context, pod client.ObjectKey, container string, command []string, stdout, stderr io.Writer) error {
			request := core.RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("exec")
			request.VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
			return stream(ctx, config, request.URL(), remotecommand.StreamOptions{Stdout: stdout, Stderr: stderr})
		},
		Version: func(ctx context.Context) (string, error) {
			raw, err := core.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
			return gitVersion(raw), err
		},
	}, nil
}

// Gateway returns the asset gateway of the cluster for the objects of a namespace.
func (s *Session) Gateway(namespace string) (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{API: s.Config, Client: s.Client, Namespace: namespace})
}

// In returns the same connection with another namespace to work in.
func (s *Session) In(namespace string) *Session {
	other := *s
	other.Namespace = namespace
	return &other
}

// Create creates a group. The API server refuses fields that its CRD does not have: it
// would drop them, and the group would run without them.
func (s *Session) Create(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	return s.Client.Create(ctx, tg, client.FieldValidation(metav1.FieldValidationStrict))
}

// Get reads a group; a missing one is reported with the groups of similar names.
func (s *Session) Get(ctx context.Context, name string) (*v1alpha1.TaskGroup, error) {
	var tg v1alpha1.TaskGroup
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &tg)
	if IsGone(err) {
		return nil, s.notFound(ctx, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading TaskGroup %s: %w", name, err)
	}
	return &tg, nil
}

// List reads all groups of a namespace, or of all where it is empty, in order.
func (s *Session) List(ctx context.Context, namespace string, selector labels.Selector) (*v1alpha1.TaskGroupList, error) {
	return s.Read(ctx, Query{Namespace: namespace, Selector: selector})
}

// Read reads the groups of a query, in order.
func (s *Session) Read(ctx context.Context, query Query) (*v1alpha1.TaskGroupList, error) {
	var list v1alpha1.TaskGroupList
	if err := s.Client.List(ctx, &list, query.options()...); err != nil {
		return nil, fmt.Errorf("listing TaskGroups: %w", err)
	}
	view.Sort(list.Items)
	return &list, nil
}

// Pods reads those of a group that are still there, of all attempts.
func (s *Session) Pods(ctx context.Context, tg *v1alpha1.TaskGroup) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := s.Client.List(ctx, &pods, client.InNamespace(tg.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(tg.UID)})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of TaskGroup %s: %w", tg.Name, err)
	}
	return pods.Items, nil
}

// MayExec reports whether the caller may run programs in pods. The refusal of an exec
// request itself is only a text.
func (s *Session) MayExec(ctx context.Context, namespace string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Resource: "pods", Subresource: "exec"},
	}}
	if err := s.Client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("reviewing the permission for pods/exec: %w", err)
	}
	return review.Status.Allowed, nil
}

// eventsOf is the API server's field for the object that an event is about.
const eventsOf = "involvedObject.uid"

// Events reads those about a group.
func (s *Session) Events(ctx context.Context, tg *v1alpha1.TaskGroup) ([]corev1.Event, error) {
	var events corev1.EventList
	err := s.Client.List(ctx, &events, client.InNamespace(tg.Namespace), client.MatchingFields{eventsOf: string(tg.UID)})
	if err != nil {
		return nil, fmt.Errorf("listing the events of TaskGroup %s: %w", tg.Name, err)
	}
	return events.Items, nil
}

// Patch merges a change into a group and returns it as it then is.
func (s *Session) Patch(ctx context.Context, key client.ObjectKey, change string) (*v1alpha1.TaskGroup, error) {
	tg := &v1alpha1.TaskGroup{}
	tg.Namespace, tg.Name = key.Namespace, key.Name
	err := s.Client.Patch(ctx, tg, client.RawPatch("application/merge-patch+json", []byte(change)))
	if IsGone(err) {
		return nil, &Problem{What: fmt.Sprintf("TaskGroup %s no longer exists in the namespace %s", key.Name, key.Namespace), Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("changing TaskGroup %s: %w", key.Name, err)
	}
	return tg, nil
}
