// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	resourceName = "taskgroups"
	// byGroup indexes pods by namespace and UID of their group; byUID groups by UID.
	byGroup, byUID = "group", "uid"
	// pageSize bounds the memory of a list.
	pageSize = 500
)

var errNotSynced = errors.New("the pods and TaskGroups are not read yet")

// Watches are a Directory that watches the metadata of the pods of groups, and the
// TaskGroups. It keeps little of both. What is not found is read from the API server: a
// watch may be a moment behind.
type Watches struct {
	metadata metadata.Interface
	client   rest.Interface
	pods     cache.SharedIndexInformer
	groups   cache.SharedIndexInformer
}

// NewWatches returns watches that are not started.
func NewWatches(config *rest.Config) (*Watches, error) {
	client, err := groupClient(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for TaskGroups: %w", err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for the metadata of pods: %w", err)
	}
	w := &Watches{metadata: meta, client: client}
	w.pods = metadatainformer.NewFilteredMetadataInformer(meta, corev1.SchemeGroupVersion.WithResource("pods"), metav1.NamespaceAll, 0,
		cache.Indexers{byGroup: indexByGroup}, func(o *metav1.ListOptions) { o.LabelSelector = v1alpha1.UIDLabel }).Informer()
	w.groups = cache.NewSharedIndexInformer(cache.NewFilteredListWatchFromClient(client, resourceName, metav1.NamespaceAll, func(*metav1.ListOptions) {}),
		&v1alpha1.TaskGroup{}, 0, cache.Indexers{byUID: indexByUID})
	if err := errors.Join(w.pods.SetTransform(stripPod), w.groups.SetTransform(stripGroup)); err != nil {
		return nil, fmt.Errorf("configuring the watches: %w", err)
	}
	return w, nil
}

// groupClient returns a client for the API group of TaskGroups.
func groupClient(config *rest.Config) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	own := rest.CopyConfig(config)
	own.GroupVersion, own.APIPath = &v1alpha1.GroupVersion, "/apis"
	own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientFor(own)
}

// Run watches until ctx is done.
func (w *Watches) Run(ctx context.Context) {
	go w.pods.RunWithContext(ctx)
	w.groups.RunWithContext(ctx)
}

// HasSynced reports whether both watches have all objects.
func (w *Watches) HasSynced() bool { return w.pods.HasSynced() && w.groups.HasSynced() }

// Pod implements Directory.
func (w *Watches) Pod(ctx context.Context, name types.NamespacedName, uid types.UID) (*metav1.PartialObjectMetadata, error) {
	if found, exists, err := w.pods.GetStore().GetByKey(name.String()); err == nil && exists {
		if pod := found.(*metav1.PartialObjectMetadata); pod.UID == uid {
			return pod, nil
		}
	}
	pod, err := w.metadata.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && pod.UID != uid {
		return nil, nil
	}
	return pod, err
}

// Group implements Directory.
func (w *Watches) Group(ctx context.Context, name types.NamespacedName, uid types.UID) (*v1alpha1.TaskGroup, error) {
	if group := w.groupOf(uid); group != nil {
		return group, nil
	}
	if name.Name == "" {
		return nil, nil
	}
	group := &v1alpha1.TaskGroup{}
	err := w.client.Get().Namespace(name.Namespace).Resource(resourceName).Name(name.Name).Do(ctx).Into(group)
	if apierrors.IsNotFound(err) || err == nil && group.UID != uid {
		return nil, nil
	}
	return group, err
}

// groupOf returns the TaskGroup with a UID, as the watch has it.
func (w *Watches) groupOf(uid types.UID) *v1alpha1.TaskGroup {
	found, err := w.groups.GetIndexer().ByIndex(byUID, string(uid))
	if err != nil || len(found) != 1 {
		return nil
	}
	return found[0].(*v1alpha1.TaskGroup)
}

// NewestAttempt implements Directory.
func (w *Watches) NewestAttempt(namespace string, uid types.UID) (int32, error) {
	if !w.HasSynced() {
		return 0, errNotSynced
	}
	found, err := w.pods.GetIndexer().ByIndex(byGroup, namespace+"/"+string(uid))
	var newest int32
	for _, pod := range found {
		newest = max(newest, attemptOf(pod.(*metav1.PartialObjectMetadata)))
	}
	return newest, err
}

// attemptOf returns the attempt of a pod; 0 if it has none.
func attemptOf(pod *metav1.PartialObjectMetadata) int32 {
	attempt, err := strconv.ParseInt(pod.Labels[v1alpha1.AttemptLabel], 10, 32)
	if err != nil {
		return 0
	}
	return int32(attempt)
}

// EachGroup calls visit for the namespace and the UID of each TaskGroup, from complete
// lists of the API server. An error means that not all were visited.
func (w *Watches) EachGroup(ctx context.Context, visit func(namespace string, uid types.UID)) error {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := w.metadata.Resource(v1alpha1.GroupVersion.WithResource(resourceName)).List(ctx, options)
		if err != nil {
			return fmt.Errorf("listing TaskGroups: %w", err)
		}
		for i := range page.Items {
			visit(page.Items[i].Namespace, page.Items[i].UID)
		}
		if page.Continue == "" {
			return nil
		}
		options.Continue = page.Continue
	}
}

// IndexOf returns the URI of the index of a TaskGroup; empty for none.
func (w *Watches) IndexOf(uid types.UID) string {
	if group := w.groupOf(uid); group != nil {
		return indexOf(group)
	}
	return ""
}

// NamedBy returns the URIs of the gateway's objects that the spec of a TaskGroup names,
// and whether the watch has the TaskGroup.
func (w *Watches) NamedBy(uid types.UID) ([]string, bool) {
	group := w.groupOf(uid)
	if group == nil {
		return nil, false
	}
	var uris []string
	EachNamed(group, func(uri string) bool {
		uris = append(uris, uri)
		return true
	})
	return uris, true
}

func indexByGroup(object any) ([]string, error) {
	pod, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil, fmt.Errorf("indexing %T", object)
	}
	return []string{pod.Namespace + "/" + pod.Labels[v1alpha1.UIDLabel]}, nil
}

func indexByUID(object any) ([]string, error) {
	group, ok := object.(*v1alpha1.TaskGroup)
	if !ok {
		return nil, fmt.Errorf("indexing %T", object)
	}
	return []string{string(group.UID)}, nil
}

// stripPod keeps what the evidence needs.
func stripPod(object any) (any, error) {
	pod, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta: pod.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			Labels:      only(pod.Labels, v1alpha1.UIDLabel, v1alpha1.AttemptLabel),
			Annotations: only(pod.Annotations, v1alpha1.NameAnnotation),
		},
	}, nil
}

// stripGroup keeps what the evidence and the garbage collection need.
func stripGroup(object any) (any, error) {
	group, ok := object.(*v1alpha1.TaskGroup)
	if !ok {
		return object, nil
	}
	small := &v1alpha1.TaskGroup{
		TypeMeta:   group.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Namespace: group.Namespace, Name: group.Name, UID: group.UID, ResourceVersion: group.ResourceVersion},
		Status:     v1alpha1.TaskGroupStatus{Attempt: group.Status.Attempt},
	}
	if finished := group.Status.Condition(v1alpha1.ConditionFinished); finished != nil {
		small.Status.Conditions = []metav1.Condition{{Type: finished.Type, Status: finished.Status}}
	}
	if assets := group.Spec.Assets; assets != nil {
		small.Spec.Assets = &v1alpha1.Assets{Functions: ofGateway(assets.Functions), Inputs: ofGateway(assets.Inputs), Hooks: ofGateway(assets.Hooks)}
		if index := indexOf(group); index != "" {
			small.Spec.Assets.Index = &v1alpha1.ObjectReference{URI: v1alpha1.AssetURI(index)}
		}
	}
	return small, nil
}

func ofGateway(uris v1alpha1.AssetURIs) v1alpha1.AssetURIs {
	var own v1alpha1.AssetURIs
	for node, uri := range uris {
		if isOfGateway(uri) {
			if own == nil {
				own = v1alpha1.AssetURIs{}
			}
			own[node] = uri
		}
	}
	return own
}

func only(all map[string]string, keys ...string) map[string]string {
	kept := map[string]string{}
	for _, key := range keys {
		if value, ok := all[key]; ok {
			kept[key] = value
		}
	}
	return kept
}
