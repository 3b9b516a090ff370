// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

const namespace = "team-a"

// ward is a cluster that is made up: an API server, an operator, and what pods find.
type ward struct {
	t      *testing.T
	client client.WithWatch
	// base is client without its interceptors.
	base client.WithWatch
	// documents are answers of the API server by path; a missing one is 404.
	documents map[string]string
	// denied are "verb resource" that the caller may not do.
	denied []string
	// refuse is the API server's error for a new TaskGroup; nil for none.
	refuse func(tg *v1alpha1.TaskGroup) error
	// status is what the operator makes of a group that is not suspended.
	status func(w *ward, tg *v1alpha1.TaskGroup)
	// deaf is an operator that does nothing.
	deaf bool
	log  string

	created []v1alpha1.TaskGroup
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, status: reports(contract.CheckReport{Python: "3.11.2", Cloudpickle: "3.1.1"})}
	w.documents = map[string]string{
		"/version":                    `{"gitVersion": "v1.37.2"}`,
		"/apis/" + v1alpha1.GroupName: `{"versions": [{"version": "v1alpha1"}]}`,
		"/openapi/v3/apis/" + v1alpha1.GroupVersion.String(): openAPI(t),
	}
	scheme, err := doctor.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	w.base = fake.NewClientBuilder().WithScheme(scheme).WithObjects(ns).WithStatusSubresource(&v1alpha1.TaskGroup{}).Build()
	w.client = interceptor.NewClient(w.base, interceptor.Funcs{Create: w.create, Delete: w.delete})
	return w
}

func forbidden(resource, name string) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.GroupName, Resource: resource}, name, errors.New("not permitted"))
}

// create plays the API server's authorizer and the operator.
func (w *ward) create(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
	switch object := object.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		a := object.Spec.ResourceAttributes
		if a.Namespace != namespace {
			w.t.Errorf("reviewed for the namespace %q", a.Namespace)
		}
		object.Status.Allowed = !slices.Contains(w.denied, a.Verb+" "+a.Resource)
		return nil
	case *v1alpha1.TaskGroup:
		if w.refuse != nil {
			if err := w.refuse(object); err != nil {
				return err
			}
		}
		if len(options) > 0 {
			return nil
		}
		object.UID = types.UID("uid-" + object.Name)
		if err := c.Create(ctx, object); err != nil || w.deaf {
			return err
		}
		w.created = append(w.created, *object.DeepCopy())
		seen := object.DeepCopy()
		if seen.Spec.Suspend {
			finish(seen, v1alpha1.ReasonSuspended, "suspended")
		} else {
			w.status(w, seen)
		}
		return c.Status().Update(ctx, seen)
	}
	return c.Create(ctx, object, options...)
}

func (w *ward) delete(ctx context.Context, c client.WithWatch, object client.Object, _ ...client.DeleteOption) error {
	if slices.Contains(w.denied, "delete taskgroups") {
		return forbidden("taskgroups", object.GetName())
	}
	return c.Delete(ctx, object)
}

// finish gives a group a reason. Suspended is not terminal.
func finish(tg *v1alpha1.TaskGroup, reason v1alpha1.Reason, message string) {
	status := metav1.ConditionFalse
	switch reason {
	case v1alpha1.ReasonCompleted:
		status = metav1.ConditionTrue
	case v1alpha1.ReasonSuspended, v1alpha1.ReasonQueued:
		status = metav1.ConditionUnknown
	default:
	}
	for _, kind := range []v1alpha1.ConditionType{v1alpha1.ConditionSucceeded, v1alpha1.ConditionFinished} {
		if kind == v1alpha1.ConditionFinished {
			if status == metav1.ConditionUnknown {
				continue
			}
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&tg.Status.Conditions, metav1.Condition{Type: string(kind), Status: status, Reason: string(reason), Message: message})
	}
}

// ends is an operator whose groups finish without a report.
func ends(reason v1alpha1.Reason, message string, code int32) func(*ward, *v1alpha1.TaskGroup) {
	return func(_ *ward, tg *v1alpha1.TaskGroup) {
		finish(tg, reason, message)
		tg.Status.Tasks = []v1alpha1.TaskStatus{{State: v1alpha1.TaskFailed, ExitCode: &code}}
	}
}

// requestOf is what a group requires of the runner.
func requestOf(t *testing.T, tg *v1alpha1.TaskGroup) contract.CheckRequest {
	t.Helper()
	command := tg.Spec.Tasks[0].Command
	if len(command) != 3 || command[0] != contract.RunnerPath || command[1] != contract.CheckCommand {
		t.Fatalf("the command is %q", command)
	}
	var request contract.CheckRequest
	if err := json.Unmarshal([]byte(command[2]), &request); err != nil {
		t.Fatal(err)
	}
	return request
}

// reports is an operator whose pods find this, and write it if that is requested: the
// volume of the pods at /assets is the folder of the test.
func reports(report contract.CheckReport) func(*ward, *v1alpha1.TaskGroup) {
	return func(w *ward, tg *v1alpha1.TaskGroup) {
		request := requestOf(w.t, tg)
		code := int32(report.Exit())
		if code == 0 {
			finish(tg, v1alpha1.ReasonCompleted, "The task completed")
		} else {
			finish(tg, v1alpha1.ReasonExitCode, fmt.Sprintf("Task 0: exit code %d", code))
		}
		tg.Status.NodeName = "node-1"
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: tg.Namespace, Name: tg.Name, Labels: map[string]string{v1alpha1.UIDLabel: string(tg.UID)}}}
		if err := w.base.Create(w.t.Context(), pod); err != nil {
			w.t.Error(err)
		}
		tg.Status.Tasks = []v1alpha1.TaskStatus{{ExitCode: &code}}
		if request.Keep && report.WriteError == "" {
			raw, err := json.Marshal(report)
			if err == nil {
				err = os.WriteFile(strings.TrimPrefix(request.Write, "file://"), raw, 0o600)
			}
			if err != nil {
				w.t.Error(err)
			}
		}
	}
}

// run makes the checks, with an executor's options.
func (w *ward) run(change func(*doctor.Config)) *doctor.Report {
	w.t.Helper()
	config := doctor.Config{
		Connect: func() (*doctor.Cluster, error) {
			return &doctor.Cluster{
				Client: w.client, Namespace: namespace, Server: "https://cluster",
				Get: func(_ context.Context, path string) ([]byte, error) {
					if text, ok := w.documents[path]; ok {
						return []byte(text), nil
					}
					return nil, apierrors.NewGenericServerResponse(http.StatusNotFound, "get", schema.GroupResource{}, "", "", 0, true)
				},
				Logs: func(context.Context, string, string) ([]byte, error) {
					if w.log == "" {
						return nil, forbidden("pods", "log")
					}
					return []byte(w.log), nil
				},
			}, nil
		},
		Group:      testkit.New(namespace, "g").Obj(),
		Dispatcher: true, Versions: doctor.Versions{Python: "3.11.7", Cloudpickle: "3.1.1"},
		Timeout: 500_000_000, OperatorTimeout: 300_000_000,
	}
	if change != nil {
		change(&config)
	}
	report, err := doctor.Run(w.t.Context(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// wantNothingLeft checks that no group, and no object of a folder, remains.
func (w *ward) wantNothingLeft(folders ...string) {
	w.t.Helper()
	var groups v1alpha1.TaskGroupList
	if err := w.client.List(context.Background(), &groups); err != nil || len(groups.Items) > 0 {
		w.t.Errorf("%d groups remain, %v", len(groups.Items), err)
	}
	for _, folder := range folders {
		if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
			w.t.Errorf("%q remain, %v", left, err)
		}
	}
}

// want compares the statuses, and checks that a check has texts in its message and advice.
func want(t *testing.T, report *doctor.Report, statuses string, name doctor.Name, texts ...string) {
	t.Helper()
	var got []string
	var check doctor.Check
	for _, c := range report.Checks {
		got = append(got, string(c.Name)+":"+string(c.Status))
		if c.Name == name {
			check = c
		}
		if (c.Status == doctor.Failed || c.Status == doctor.Warning) && c.Next == "" {
			t.Errorf("%s does not state what to do: %s", c.Name, c.Message)
		}
	}
	if diff := cmp.Diff(strings.Fields(statuses), got); diff != "" {
		t.Errorf("checks (-want +got):\n%s%s: %s", diff, name, check.Message)
	}
	if report.OK != !strings.Contains(statuses, ":failed") {
		t.Errorf("OK is %t", report.OK)
	}
	for _, text := range texts {
		if !strings.Contains(check.Message+"\n"+check.Next, text) {
			t.Errorf("%s lacks %q: %s\nnext: %s", name, text, check.Message, check.Next)
		}
	}
}

const (
	allOK   = "cluster:ok crd:ok operator:ok permissions:ok namespace:ok store:ok pod:ok pod-store:ok image:ok"
	noStore = "cluster:ok crd:ok operator:ok permissions:ok namespace:ok store:skipped pod:ok pod-store:skipped image:ok"
)

// in replaces the status of checks.
func in(statuses string, changes ...string) string {
	fields := strings.Fields(statuses)
	for _, change := range changes {
		name, _, _ := strings.Cut(change, ":")
		for i, field := range fields {
			if strings.HasPrefix(field, name+":") {
				fields[i] = change
			}
		}
	}
	return strings.Join(fields, " ")
}

// mounted gives the group a volume at a folder of the test, which is the location.
func mounted(folder string) func(*doctor.Config) {
	return func(c *doctor.Config) {
		c.Assets = "file://" + folder
		c.Group = testkit.New(namespace, "g").Pod(v1alpha1.PodOptions{VolumeMounts: []v1alpha1.VolumeMount{{Name: "v", MountPath: folder}}}).Obj()
	}
}

func TestAllIsWell(t *testing.T) {
	w, folder := newWard(t), t.TempDir()
	report := w.run(mounted(folder))
	want(t, report, allOK, doctor.CheckPodStore, "read what this machine wrote", "this machine read that")
	want(t, report, allOK, doctor.CheckImage, "Python 3.11.2 and cloudpickle 3.1.1")
	w.wantNothingLeft(folder)
	if len(w.created) != 2 || !w.created[0].Spec.Suspend || w.created[1].Spec.Suspend {
		t.Fatalf("created %+v", w.created)
	}
	// The pod has the options of real groups, and the operator deletes what this program cannot.
	tg := &w.created[1]
	if len(tg.Spec.Pod.VolumeMounts) != 1 || tg.Spec.TTLSecondsAfterFinished == nil || tg.Spec.Callback != nil {
		t.Errorf("the group is %+v", tg.Spec)
	}
	if request := requestOf(t, tg); request.Read == "" || request.Content == "" || request.Write == "" || !request.Keep || request.Version != "3.11" {
		t.Errorf("the request is %+v", request)
	}
}

func TestWithoutAPod(t *testing.T) {
	w, folder := newWard(t), t.TempDir()
	report := w.run(func(c *doctor.Config) {
		mounted(folder)(c)
		c.NoPod = true
	})
	want(t, report, in(allOK, "pod:skipped", "pod-store:skipped", "image:skipped"), doctor.CheckImage, "left out")
	w.wantNothingLeft(folder)
	if len(w.created) != 1 || !w.created[0].Spec.Suspend {
		t.Errorf("created %+v", w.created)
	}
}

// TestCancelled cancels while the pod is waited for: everything is removed.
func TestCancelled(t *testing.T) {
	w, folder := newWard(t), t.TempDir()
	w.status = func(_ *ward, tg *v1alpha1.TaskGroup) { finish(tg, v1alpha1.ReasonQueued, "no room") }
	ctx, cancel := context.WithCancel(t.Context())
	var config doctor.Config
	w.run(func(c *doctor.Config) {
		mounted(folder)(c)
		config = *c
		c.NoPod = true
	})
	config.Timeout = 0
	config.Progress = func(text string) {
		if strings.Contains(text, "no room") {
			if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != 1 {
				t.Errorf("the pod reads %q", left)
			}
			cancel()
		}
	}
	report, err := doctor.Run(ctx, config)
	if !errors.Is(err, context.Canceled) || len(report.Checks) != 6 {
		t.Errorf("%d checks, %v", len(report.Checks), err)
	}
	w.wantNothingLeft(folder)
}

// deleteCancelled plays the part of the operator that deletes groups after their end.
func (w *ward) deleteCancelled(deleted chan<- string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	changes, err := w.base.Watch(ctx, &v1alpha1.TaskGroupList{})
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case change := <-changes.ResultChan():
				tg, ok := change.Object.(*v1alpha1.TaskGroup)
				if !ok || !tg.Spec.Cancel || tg.Spec.TTLSecondsAfterFinished == nil || *tg.Spec.TTLSecondsAfterFinished != 0 {
					continue
				}
				if w.base.Delete(ctx, tg) == nil {
					deleted <- tg.Name
				}
			}
		}
	}()
	return func() { cancel(); changes.Stop(); <-done }
}
