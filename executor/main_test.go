// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

const dispatch = "6f1c6d2e-3a52-4b7e-9a3f-0b8f3c1d2e4a"

// TestMain has client-go list before it watches: the fake client cannot stream lists.
func TestMain(m *testing.M) {
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// fakeCluster is a cluster with groups in it, where calls can be intercepted.
func fakeCluster(t *testing.T, funcs interceptor.Funcs, groups ...client.Object) (*executor.Cluster, client.WithWatch) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Secret{})
	watches, begun := funcs.Watch, make(chan struct{})
	began := sync.OnceFunc(func() { close(begun) })
	funcs.Watch = func(ctx context.Context, c client.WithWatch, l client.ObjectList, o ...client.ListOption) (events watch.Interface, err error) {
		defer began()
		if watches != nil {
			return watches(ctx, c, l, o...)
		}
		return c.Watch(ctx, l, o...)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(groups...).WithStatusSubresource(&v1alpha1.TaskGroup{}).
		WithIndex(&v1alpha1.TaskGroup{}, "spec.dispatchID", func(o client.Object) []string {
			return []string{o.(*v1alpha1.TaskGroup).Spec.DispatchID}
		}).WithInterceptorFuncs(funcs).Build()
	cluster := executor.NewCluster(executor.ClusterConfig{Client: c, Namespace: "team", Doubt: 50 * time.Millisecond})
	t.Cleanup(cluster.Close)
	watching.Store(cluster, begun)
	return cluster, c
}

// watching has for each cluster a channel that is closed when its watch has begun.
var watching sync.Map

// awaitKnown waits until a group is polled and watched. The fake client forgets what
// happens between a list and the watch after it.
func awaitKnown(t *testing.T, cluster *executor.Cluster, name string) {
	t.Helper()
	executor.AwaitKnown(t, cluster, name)
	begun, _ := watching.Load(cluster)
	<-begun.(chan struct{})
}

// newExecutor is one whose cache is of the test.
func newExecutor(t *testing.T, cluster *executor.Cluster, change ...func(*executor.Config)) *executor.Executor {
	t.Helper()
	config := executor.Config{Options: executor.DefaultOptions(), Cluster: cluster}
	config.Options.CacheDir = t.TempDir()
	config.Options.Outputs = "file:///out"
	for _, f := range change {
		f(&config)
	}
	e, err := executor.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// groupOf is a group of nodes; its number is the first node's, as Covalent has it.
func groupOf(nodes ...contract.NodeID) contract.TaskGroupMetadata {
	return contract.TaskGroupMetadata{DispatchID: dispatch, NodeIDs: nodes, TaskGroupID: int64(nodes[0])}
}

// functions are tasks without arguments, and where their functions are.
func functions(nodes ...contract.NodeID) ([]contract.TaskSpec, contract.ResourceMap) {
	resources := contract.ResourceMap{Functions: map[contract.NodeID]string{}}
	var tasks []contract.TaskSpec
	for _, node := range nodes {
		tasks = append(tasks, contract.TaskSpec{ElectronID: node})
		resources.Functions[node] = "file:///data/function"
	}
	return tasks, resources
}

// ended is a TaskGroup of these nodes that ended for a reason, as the operator leaves it.
func ended(reason v1alpha1.Reason, state v1alpha1.TaskState, nodes ...contract.NodeID) *v1alpha1.TaskGroup {
	tg := running(nodes...)
	succeeded := metav1.ConditionFalse
	if reason == v1alpha1.ReasonCompleted {
		succeeded = metav1.ConditionTrue
	}
	tg.Status = v1alpha1.TaskGroupStatus{Attempt: 1, Conditions: []metav1.Condition{
		{Type: string(v1alpha1.ConditionSucceeded), Status: succeeded, Reason: string(reason), Message: "what the operator says"},
		{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: string(reason)},
	}}
	for _, node := range nodes {
		tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: v1alpha1.NodeID(node), State: state})
	}
	return tg
}

func running(nodes ...contract.NodeID) *v1alpha1.TaskGroup {
	name := executor.Name(dispatch, int64(nodes[0]))
	tg := testkit.New("team", name).Outputs("file:///out").Obj()
	tg.UID, tg.Labels = types.UID("uid-of-"+name), map[string]string{v1alpha1.DispatchLabel: dispatch}
	tg.Spec.DispatchID, tg.Spec.TaskGroupID = dispatch, new(int64(nodes[0]))
	for _, node := range nodes {
		tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(node)})
	}
	return tg
}

// dispatcher is Covalent's side of a job.
type dispatcher struct {
	mu     sync.Mutex
	asked  int
	cancel func(asked int) bool
	python string
	put    map[executor.Attribute]any
}

func (d *dispatcher) Get(_ context.Context, attribute executor.Attribute) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if attribute == executor.VersionInfo {
		return json.Marshal(contract.VersionInfo{Python: d.python, Covalent: "0.240.0"})
	}
	d.asked++
	return json.Marshal(d.cancel != nil && d.cancel(d.asked))
}

func (d *dispatcher) Put(_ context.Context, attribute executor.Attribute, value any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.put == nil {
		d.put = map[executor.Attribute]any{}
	}
	d.put[attribute] = value
	return nil
}
