// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/exec"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// volumeBench has a group whose results are on a claim at /assets. Each TaskGroup that
// is created has a running pod at once, in which the runner reads the folder.
type volumeBench struct {
	*bench
	folder string
	tg     *v1alpha1.TaskGroup
	// created are the TaskGroups that were created.
	created []v1alpha1.TaskGroup
	// denied is a "verb resource" that is forbidden.
	denied string
	// fail is the status of the TaskGroup in place of a pod; nil for a pod.
	fail *metav1.Condition
	// reads are the requests to the runner, as PATH OFFSET.
	reads []string
	// broken returns how many bytes a stream has before it breaks; nil for none that breaks.
	broken func(v *volumeBench) (bytes int64, err error)
}

func newVolumeBench(t *testing.T) *volumeBench {
	t.Helper()
	tg, folder := stored(t)
	tg.Labels = map[string]string{v1alpha1.QueueLabel: "q", "other": "label"}
	tg.Spec.Pod = &v1alpha1.PodOptions{
		Image: "my/image:1", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "x"}}, ServiceAccountName: "worker",
		NodeSelector:    map[string]string{"disk": "near"},
		SecurityContext: &v1alpha1.SecurityContext{FSGroup: new(int64(7))},
		Resources:       &v1alpha1.Resources{Limits: v1alpha1.Amounts{"nvidia.com/gpu": {Text: "1"}}},
		Volumes: []v1alpha1.Volume{
			{Name: "scratch", EmptyDir: &corev1.EmptyDirVolumeSource{}},
			{Name: "data", PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}},
		},
		VolumeMounts: []v1alpha1.VolumeMount{{Name: "scratch", MountPath: "/"}, {Name: "data", MountPath: "/assets/", SubPath: "part"}},
	}
	v := &volumeBench{folder: folder, tg: tg}
	v.bench = newBenchWith(t, interceptor.Funcs{Create: v.create, List: v.list}, tg)
	v.exec = v.read
	return v
}

// immediate is a clock without delays.
type immediate struct{ clock.Clock }

func (immediate) After(time.Duration) <-chan time.Time {
	fired := make(chan time.Time, 1)
	fired <- time.Time{}
	return fired
}

func forbidden(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "x", errors.New("not permitted"))
}

func (v *volumeBench) create(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
	if review, ok := object.(*authorizationv1.SelfSubjectAccessReview); ok {
		review.Status.Allowed = v.denied != "create pods/exec"
		return nil
	}
	tg, ok := object.(*v1alpha1.TaskGroup)
	if !ok {
		return c.Create(ctx, object, options...)
	}
	if v.denied == "create taskgroups" {
		return forbidden("taskgroups")
	}
	v.created = append(v.created, *tg.DeepCopy())
	if v.fail != nil {
		meta.SetStatusCondition(&tg.Status.Conditions, *v.fail)
		meta.SetStatusCondition(&tg.Status.Conditions, metav1.Condition{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: "Finished"})
		return c.Create(ctx, tg, options...)
	}
	tg.UID = "uid-of-download"
	pod := podOf(tg, tg.Name+"-1-x", "1")
	pod.Annotations = map[string]string{v1alpha1.DefaultContainerAnnotation: "main"}
	pod.Status.Phase = corev1.PodRunning
	return errors.Join(c.Create(ctx, tg, options...), c.Create(ctx, pod))
}

func (v *volumeBench) list(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
	if _, ok := list.(*corev1.PodList); ok && v.denied == "list pods" {
		return forbidden("pods")
	}
	return c.List(ctx, list, options...)
}

// read is `runner read` in the pod.
func (v *volumeBench) read(ctx context.Context, pod client.ObjectKey, container string, command []string, stdout, stderr io.Writer) error {
	if err := v.client.Get(ctx, pod, &corev1.Pod{}); err != nil {
		return err
	}
	if container != "main" || len(command) != 5 || !slices.Equal(command[:3], []string{contract.RunnerPath, contract.ReadCommand, "/assets/"}) {
		return fmt.Errorf("unexpected request to %s: %q", container, command)
	}
	v.reads = append(v.reads, command[3]+" "+command[4])
	file, err := os.Open(filepath.Join(v.folder, command[3]))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(stderr, "runner: no such file")
		return exec.CodeExitError{Err: err, Code: contract.ReadMissing}
	}
	if err != nil {
		return err
	}
	defer file.Close()
	offset, _ := strconv.ParseInt(command[4], 10, 64)
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	if v.broken != nil {
		if n, err := v.broken(v); err != nil {
			_, _ = io.CopyN(stdout, file, n)
			return err
		}
	}
	_, err = io.Copy(stdout, file)
	return err
}

// wantDownloaded has all results, and nothing left in the cluster.
func (v *volumeBench) wantDownloaded(into string) {
	v.t.Helper()
	for path, want := range map[string]string{"0/output": "result", "1/stdout": "out\n", "1/stderr": ""} {
		if got, err := os.ReadFile(filepath.Join(into, path)); err != nil || string(got) != want {
			v.t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
	v.wantRemoved()
}

func (v *volumeBench) wantRemoved() {
	v.t.Helper()
	var left v1alpha1.TaskGroupList
	if err := v.client.List(context.WithoutCancel(v.t.Context()), &left); err != nil || len(left.Items) != 1 {
		v.t.Errorf("%d TaskGroups remain, %v", len(left.Items), err)
	}
}

// TestResultsThroughAPod downloads from a volume that is not mounted here. The pod has
// the identity of the group's pods, and neither their environment nor their GPUs.
func TestResultsThroughAPod(t *testing.T) {
	v, into := newVolumeBench(t), t.TempDir()
	v.want(exitDone, "results", "g", "--download", into)
	v.wantDownloaded(into)
	if len(v.created) != 1 {
		t.Fatalf("%d TaskGroups were created", len(v.created))
	}
	tg := v.created[0]
	want := v1alpha1.TaskGroupSpec{
		Tasks: []v1alpha1.TaskSpec{{Command: []string{contract.RunnerPath, contract.HoldCommand}}},
		Pod: &v1alpha1.PodOptions{
			Image: "my/image:1", ServiceAccountName: "worker", NodeSelector: map[string]string{"disk": "near"},
			SecurityContext: &v1alpha1.SecurityContext{FSGroup: new(int64(7))},
			Volumes:         v.tg.Spec.Pod.Volumes[1:],
			VolumeMounts:    []v1alpha1.VolumeMount{{Name: "data", MountPath: "/assets/", SubPath: "part", ReadOnly: true}},
			Resources: &v1alpha1.Resources{
				Requests: v1alpha1.Amounts{"cpu": {Text: "50m"}, "memory": {Text: "64Mi"}}, Limits: v1alpha1.Amounts{"memory": {Text: "256Mi"}},
			},
		},
		Retries:                 &v1alpha1.Retries{InfrastructureLimit: new(int32(0))},
		Timeouts:                &v1alpha1.Timeouts{StartingSeconds: new(int64(300)), RunningSeconds: new(int64(3600))},
		TTLSecondsAfterFinished: new(int32(120)),
	}
	if diff := cmp.Diff(want, tg.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{v1alpha1.QueueLabel: "q"}, tg.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	// What is mounted here, or was downloaded, needs no pod; neither does a table.
	v.want(exitDone, "results", "g", "--download", t.TempDir(), "--mount", "/assets="+v.folder)
	v.want(exitFailed, "results", "g")
	if len(v.created) != 1 || !strings.Contains(v.err.String(), "--download") {
		t.Errorf("%d TaskGroups were created\n%s", len(v.created), v.err.String())
	}
	// A mount without the results is a mistake that a pod must not hide.
	v.want(exitFailed, "results", "g", "--download", t.TempDir(), "--mount", "/assets="+t.TempDir())
	if len(v.created) != 1 {
		t.Errorf("%d TaskGroups were created", len(v.created))
	}
}

// TestResultsThroughABrokenStream continues a stream at the byte where it broke, in
// another pod if the first one was deleted, and gives up if nothing arrives.
func TestResultsThroughABrokenStream(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for name, tc := range map[string]struct {
		broken  func(v *volumeBench) (int64, error)
		code    int
		created int
		texts   []string
	}{
		"once": {
			broken: func(v *volumeBench) (int64, error) {
				output := func(read string) bool { return strings.Contains(read, "/0/output ") }
				if last := len(v.reads) - 1; slices.IndexFunc(v.reads, output) == last {
					return 3, reset
				}
				return 0, nil
			},
			created: 1, texts: []string{"broke after 3 bytes"},
		},
		"with its pod": {
			broken: func(v *volumeBench) (int64, error) {
				if len(v.created) > 1 {
					return 0, nil
				}
				return 3, errors.Join(reset, v.client.DeleteAllOf(v.t.Context(), &corev1.Pod{}, client.InNamespace(v.tg.Namespace)))
			},
			created: 2,
		},
		"again and again": {
			broken: func(*volumeBench) (int64, error) { return 0, reset },
			code:   exitFailed, created: 1, texts: []string{"reset by peer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, into := newVolumeBench(t), t.TempDir()
			v.broken, v.retries = tc.broken, immediate{v.clock}
			v.want(tc.code, "results", "g", "--download", into)
			if tc.code == exitDone {
				v.wantDownloaded(into)
			}
			v.wantRemoved()
			if len(v.created) != tc.created {
				t.Errorf("%d TaskGroups were created, want %d", len(v.created), tc.created)
			}
			for _, text := range tc.texts {
				if !strings.Contains(v.err.String(), text) {
					t.Errorf("it lacks %q: %s", text, v.err.String())
				}
			}
			if tc.code == exitDone && !slices.ContainsFunc(v.reads, func(read string) bool { return strings.HasSuffix(read, " 3") }) {
				t.Errorf("no stream was continued: %q", v.reads)
			}
		})
	}
}

// TestResultsThroughNoPod has what prevents the pod, and reports what to do.
func TestResultsThroughNoPod(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(v *volumeBench)
		texts  []string
	}{
		"no permission to create": {func(v *volumeBench) { v.denied = "create taskgroups" }, []string{"you may not create a TaskGroup", "--mount /assets/=FOLDER", "ClusterRole edit"}},
		"no permission to list":   {func(v *volumeBench) { v.denied = "list pods" }, []string{"you may not list pods", "--mount /assets/=FOLDER"}},
		"no permission to exec":   {func(v *volumeBench) { v.denied = "create pods/exec" }, []string{"create pods/exec", "--mount /assets/=FOLDER"}},
		"a claim that is missing": {
			func(v *volumeBench) {
				v.fail = &metav1.Condition{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonUnschedulable), Message: `persistentvolumeclaim "claim" not found`}
			},
			[]string{`persistentvolumeclaim "claim" not found`, "--mount /assets/=FOLDER"},
		},
		"a volume of the pod itself": {
			func(v *volumeBench) {
				v.change(func(pod *v1alpha1.PodOptions) { pod.VolumeMounts = pod.VolumeMounts[:1] })
			},
			[]string{"was deleted with its pod", "--outputs URI"},
		},
		"no volume": {
			func(v *volumeBench) { v.change(func(pod *v1alpha1.PodOptions) { pod.VolumeMounts = nil }) },
			[]string{"is on no volume", "--outputs URI"},
		},
		"an object that is missing": {
			func(v *volumeBench) { v.remove("1/stdout") },
			[]string{"/a1/1/stdout", "no such file"},
		},
		"an object that was changed": {
			func(v *volumeBench) {
				v.remove("0/output")
				if err := os.WriteFile(v.pathOf("0/output"), []byte("forged"), 0o600); err != nil {
					v.t.Fatal(err)
				}
			},
			[]string{"/a1/0/output", "digest"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, into := newVolumeBench(t), t.TempDir()
			tc.change(v)
			v.want(exitFailed, "results", "g", "--download", into)
			for _, text := range tc.texts {
				if !strings.Contains(v.err.String(), text) {
					t.Errorf("it lacks %q: %s", text, v.err.String())
				}
			}
			if _, err := os.Stat(filepath.Join(into, "0/output")); err == nil && strings.Contains(name, "changed") {
				t.Error("a forged object was kept")
			}
			v.wantRemoved()
			if len(v.created) > 1 {
				t.Errorf("%d TaskGroups were created", len(v.created))
			}
		})
	}
}

// TestResultsThroughAPodAreInterrupted removes the pod also after Ctrl-C.
func TestResultsThroughAPodAreInterrupted(t *testing.T) {
	v := newVolumeBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	v.broken = func(*volumeBench) (int64, error) {
		cancel()
		return 1, ctx.Err()
	}
	if code := Run(ctx, v.config(&v.out), []string{"results", "g", "--download", t.TempDir()}); code != exitInterrupted {
		t.Errorf("exit code %d\n%s", code, v.err.String())
	}
	if len(v.created) != 1 {
		t.Errorf("%d TaskGroups were created", len(v.created))
	}
	v.wantRemoved()
}

func (v *volumeBench) change(change func(*v1alpha1.PodOptions)) {
	v.t.Helper()
	tg := v.get("g")
	change(tg.Spec.Pod)
	if err := v.client.Update(v.t.Context(), tg); err != nil {
		v.t.Fatal(err)
	}
}

func (v *volumeBench) pathOf(object string) string {
	return filepath.Join(v.folder, "results", string(v.tg.UID), "a1", object)
}

func (v *volumeBench) remove(object string) {
	v.t.Helper()
	if err := os.Remove(v.pathOf(object)); err != nil {
		v.t.Fatal(err)
	}
}
