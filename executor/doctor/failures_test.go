// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestFailures: each cause has its text, and what to do.
func TestFailures(t *testing.T) {
	const unreachable = "cluster:failed crd:skipped operator:skipped permissions:skipped namespace:skipped store:skipped pod:skipped pod-store:skipped image:skipped"
	const noPod = "cluster:ok crd:ok operator:ok permissions:ok namespace:ok store:skipped pod:failed pod-store:skipped image:skipped"
	image := in(noStore, "image:failed")
	found := contract.CheckReport{Python: "3.11.2", Cloudpickle: "3.1.1"}
	report := func(change func(*contract.CheckReport)) func(*ward) {
		changed := found
		change(&changed)
		return func(w *ward) { w.status = reports(changed) }
	}
	for name, tc := range map[string]struct {
		ward     func(*ward)
		config   func(*doctor.Config)
		statuses string
		check    doctor.Name
		texts    []string
	}{
		"no kubeconfig": {
			config: func(c *doctor.Config) {
				c.Connect = func() (*doctor.Cluster, error) {
					return nil, &doctor.ConnectError{What: "there is no kubeconfig", Next: "set KUBECONFIG"}
				}
			},
			statuses: unreachable, check: doctor.CheckCluster, texts: []string{"there is no kubeconfig", "set KUBECONFIG"},
		},
		"the reason of a skipped check": {
			config:   func(c *doctor.Config) { c.Connect = func() (*doctor.Cluster, error) { return nil, errors.New("no") } },
			statuses: unreachable, check: doctor.CheckImage, texts: []string{"because cluster failed"},
		},
		"an old cluster": {
			ward:     func(w *ward) { w.documents["/version"] = `{"gitVersion": "v1.32.9"}` },
			statuses: unreachable, check: doctor.CheckCluster, texts: []string{"v1.32.9", "1.33"},
		},
		"not a cluster": {
			ward:     func(w *ward) { w.documents["/version"] = "<html>" },
			statuses: unreachable, check: doctor.CheckCluster, texts: []string{"no Kubernetes API server"},
		},
		"no operator": {
			ward:     func(w *ward) { w.deaf = true },
			statuses: "cluster:ok crd:ok operator:failed permissions:ok namespace:ok store:skipped pod:skipped pod-store:skipped image:skipped",
			check:    doctor.CheckOperator, texts: []string{"no operator has processed a TaskGroup", "kubectl -n taskgroup-system"},
		},
		"missing permissions": {
			ward: func(w *ward) {
				w.denied = []string{"create taskgroups", "watch taskgroups"}
				w.refuse = refuseAll(forbidden("taskgroups", "x"))
			},
			statuses: "cluster:ok crd:ok operator:skipped permissions:failed namespace:ok store:skipped pod:skipped pod-store:skipped image:skipped",
			check:    doctor.CheckPermissions, texts: []string{"you may not create taskgroups, watch taskgroups", "create rolebinding", "--clusterrole=taskgroup-executor"},
		},
		"missing permission for presigned URLs": {
			ward:     func(w *ward) { w.denied = []string{"create secrets"} },
			config:   func(c *doctor.Config) { c.Presign = true },
			statuses: "cluster:ok crd:ok operator:ok permissions:failed namespace:ok store:skipped pod:skipped pod-store:skipped image:skipped",
			check:    doctor.CheckPermissions, texts: []string{"you may not create secrets", "taskgroup-executor-presign"},
		},
		"a quota": {
			ward:     func(w *ward) { w.refuse = refusePod(forbidden("taskgroups", "exceeded quota")) },
			statuses: noPod, check: doctor.CheckPod, texts: []string{"exceeded quota"},
		},
		"the image cannot be pulled": {
			ward:     func(w *ward) { w.status = ends(v1alpha1.ReasonImagePullFailed, "ErrImagePull: no such host", 0) },
			statuses: "cluster:ok crd:ok operator:ok permissions:ok namespace:ok store:skipped pod:skipped pod-store:skipped image:failed",
			check:    doctor.CheckImage, texts: []string{"cannot be pulled", "no such host", "image_pull_secrets"},
		},
		"no room": {
			ward:     func(w *ward) { w.status = ends(v1alpha1.ReasonQueued, "0/1 nodes are available", 0) },
			statuses: noPod, check: doctor.CheckPod, texts: []string{"has not finished within", "0/1 nodes are available", "request less"},
		},
		"a volume that cannot be mounted": {
			ward:     func(w *ward) { w.status = ends(v1alpha1.ReasonVolumeMountFailed, "no such claim", 0) },
			statuses: noPod, check: doctor.CheckPod, texts: []string{"no such claim", "kubectl get pvc"},
		},
		"rejected by a policy": {
			ward:     func(w *ward) { w.status = ends(v1alpha1.ReasonJobRejected, "denied by the policy", 0) },
			statuses: noPod, check: doctor.CheckPod, texts: []string{"denied by the policy", "a policy of the cluster"},
		},
		"an operator of another release": {
			ward:     func(w *ward) { w.status = ends(v1alpha1.ReasonExitCode, "Task 0: exit code 2", 2) },
			statuses: in(noStore, "pod:warning", "image:skipped"), check: doctor.CheckPod, texts: []string{"of a release without checks", "upgrade the operator"},
		},
		"no python": {
			ward:     report(func(r *contract.CheckReport) { *r = contract.CheckReport{PythonError: "no such file"} }),
			statuses: image, check: doctor.CheckImage, texts: []string{"no usable Python", "PythonUnavailable"},
		},
		"no cloudpickle": {
			ward:     report(func(r *contract.CheckReport) { r.CloudpickleError = "ModuleNotFoundError" }),
			statuses: image, check: doctor.CheckImage, texts: []string{"no cloudpickle", "pip install cloudpickle==3.1.1"},
		},
		"another python": {
			ward:     report(func(r *contract.CheckReport) { r.VersionError = "no" }),
			statuses: image, check: doctor.CheckImage, texts: []string{"pickled here by Python 3.11.7", "PythonVersionMismatch", `python_images={"3.11": "..."}`},
		},
		"another python, for commands": {
			ward:     report(func(r *contract.CheckReport) { r.VersionError = "no" }),
			config:   func(c *doctor.Config) { c.Dispatcher = false },
			statuses: in(noStore, "image:warning"), check: doctor.CheckImage, texts: []string{"PythonVersionMismatch"},
		},
		"an older cloudpickle": {
			ward: func(w *ward) {
				w.log = "[taskgroup] task 0: started\n" + `{"python": "3.11.2", "cloudpickle": "2.2.1"}` + "\n"
			},
			statuses: in(noStore, "image:warning"), check: doctor.CheckImage, texts: []string{"cloudpickle 2.2.1, here is the newer 3.1.1", "InputInvalid"},
		},
		"no access to the log": {
			statuses: noStore, check: doctor.CheckImage, texts: []string{"has Python and cloudpickle, the Python 3.11 of this machine"},
		},
		"the versions in the log": {
			ward:     func(w *ward) { w.log = `{"python": "3.11.2", "cloudpickle": "3.1.1"}` },
			statuses: noStore, check: doctor.CheckImage, texts: []string{"Python 3.11.2 and cloudpickle 3.1.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			if tc.ward != nil {
				tc.ward(w)
			}
			want(t, w.run(tc.config), tc.statuses, tc.check, tc.texts...)
			w.wantNothingLeft()
		})
	}
}

func refuseAll(err error) func(*v1alpha1.TaskGroup) error {
	return func(*v1alpha1.TaskGroup) error { return err }
}

func refusePod(err error) func(*v1alpha1.TaskGroup) error {
	return func(tg *v1alpha1.TaskGroup) error {
		if tg.Spec.Suspend {
			return nil
		}
		return err
	}
}

func TestNamespaces(t *testing.T) {
	get := func(w *ward, change func(*corev1.Namespace)) {
		var ns corev1.Namespace
		if err := w.client.Get(t.Context(), client.ObjectKey{Name: namespace}, &ns); err != nil {
			t.Fatal(err)
		}
		change(&ns)
		phase := ns.Status.Phase
		if err := w.client.Update(t.Context(), &ns); err != nil {
			t.Fatal(err)
		}
		ns.Status.Phase = phase
		if err := w.client.Status().Update(t.Context(), &ns); err != nil {
			t.Fatal(err)
		}
	}
	terminating := apierrors.NewForbidden(schema.GroupResource{Resource: "taskgroups"}, "x", errors.New("being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	const bad = "cluster:ok crd:ok operator:skipped permissions:ok namespace:failed store:skipped pod:skipped pod-store:skipped image:skipped"
	for name, tc := range map[string]struct {
		ward     func(*ward)
		statuses string
		texts    []string
	}{
		"restricted":      {func(*ward) {}, noStore, []string{"Pod Security level restricted admits the pods"}},
		"without a level": {func(w *ward) { get(w, func(ns *corev1.Namespace) { ns.Labels = nil }) }, noStore, []string{"enforces no Pod Security level"}},
		"a wrong level": {
			func(w *ward) {
				get(w, func(ns *corev1.Namespace) { ns.Labels["pod-security.kubernetes.io/enforce"] = "strict" })
			},
			in(noStore, "namespace:warning"), []string{`is "strict"`, "kubectl label"},
		},
		"missing": {func(w *ward) {
			w.refuse = refuseAll(apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, namespace))
			if err := w.client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
				t.Fatal(err)
			}
		}, bad, []string{"does not exist", "kubectl create namespace team-a"}},
		"being deleted": {func(w *ward) {
			w.refuse = refuseAll(terminating)
			get(w, func(ns *corev1.Namespace) { ns.Status.Phase = corev1.NamespaceTerminating })
		}, bad, []string{"is being deleted", "create it again"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			tc.ward(w)
			want(t, w.run(nil), tc.statuses, doctor.CheckNamespace, tc.texts...)
		})
	}
}

func TestStores(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("the super-user can write everywhere: permissions are not tested")
	}
	found := contract.CheckReport{Python: "3.11.2", Cloudpickle: "3.1.1"}
	for name, tc := range map[string]struct {
		config   func(c *doctor.Config, folder string)
		status   func(*ward, *v1alpha1.TaskGroup)
		statuses string
		check    doctor.Name
		texts    []string
	}{
		"a folder that does not exist": {
			config:   func(c *doctor.Config, folder string) { c.Assets += "/missing" },
			statuses: in(allOK, "store:failed"), check: doctor.CheckStore, texts: []string{"does not exist", "mount the volume"},
		},
		"a folder that another machine has": {
			config:   func(c *doctor.Config, folder string) { c.Assets += "/missing"; c.Dispatcher = false },
			statuses: in(allOK, "store:skipped"), check: doctor.CheckStore, texts: []string{"no volume of the pods is mounted there", "--mount"},
		},
		"a file": {
			config: func(c *doctor.Config, folder string) {
				if err := os.WriteFile(filepath.Join(filepath.Dir(folder), "file"), nil, 0o600); err != nil {
					t.Error(err)
				}
				c.Assets = "file://" + filepath.Join(filepath.Dir(folder), "file")
				c.Group.Spec.Pod.VolumeMounts[0].MountPath = filepath.Dir(folder)
			},
			statuses: in(allOK, "store:failed"), check: doctor.CheckStore, texts: []string{"which is no folder"},
		},
		"another scheme": {
			config:   func(c *doctor.Config, _ string) { c.Assets = "gopher://host/a" },
			status:   reports(contract.CheckReport{WriteError: `unknown scheme "gopher"`, Python: "3.11.2", Cloudpickle: "3.1.1"}),
			statuses: in(allOK, "store:failed", "pod-store:failed"), check: doctor.CheckStore, texts: []string{`"gopher"`},
		},
		"no volume in the pod": {
			config:   func(c *doctor.Config, folder string) { c.Group = testkit.New(namespace, "g").Obj() },
			statuses: in(allOK, "pod-store:failed"), check: doctor.CheckPodStore, texts: []string{"no volume of the pod is mounted at", "--volume CLAIM:/path"},
		},
		"the pod cannot read": {
			status:   reports(contract.CheckReport{ReadError: "no such file", Python: "3.11.2", Cloudpickle: "3.1.1"}),
			statuses: in(allOK, "pod-store:failed"), check: doctor.CheckPodStore, texts: []string{"cannot read what this machine wrote", "no such file", "the same volume"},
		},
		"the pod cannot write": {
			status:   reports(contract.CheckReport{WriteError: "403", Python: "3.11.2", Cloudpickle: "3.1.1"}),
			statuses: in(allOK, "pod-store:failed"), check: doctor.CheckPodStore, texts: []string{"cannot write at", "permission"},
		},
		"another volume": {
			status: func(w *ward, tg *v1alpha1.TaskGroup) {
				reports(found)(w, tg)
				if err := os.Remove(strings.TrimPrefix(requestOf(t, tg).Write, "file://")); err != nil {
					t.Error(err)
				}
			},
			statuses: in(allOK, "pod-store:failed"), check: doctor.CheckPodStore, texts: []string{"does not find what the pod wrote", "local_paths"},
		},
		"presigned": {
			config:   func(c *doctor.Config, _ string) { c.Presign = true },
			statuses: in(allOK, "pod-store:skipped"), check: doctor.CheckPodStore, texts: []string{"signed URLs"},
		},
		"outputs beside assets": {
			config:   func(c *doctor.Config, folder string) { c.Outputs = "file://" + folder },
			statuses: allOK, check: doctor.CheckStore, texts: []string{"written, read and removed"},
		},
		"mounted elsewhere here": {
			config: func(c *doctor.Config, folder string) {
				c.LocalPaths = map[string]string{"/in/pods": folder}
				c.Assets, c.Group.Spec.Pod.VolumeMounts[0].MountPath = "file:///in/pods", "/in"
			},
			status: func(w *ward, tg *v1alpha1.TaskGroup) {
				// The pod of the test finds what is written at /in/pods.
				reports(contract.CheckReport{WriteError: "not written", Python: "3.11.2", Cloudpickle: "3.1.1"})(w, tg)
			},
			statuses: in(allOK, "pod-store:failed"), check: doctor.CheckStore, texts: []string{"file:///in/pods"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, folder := newWard(t), filepath.Join(t.TempDir(), "assets")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if tc.status != nil {
				w.status = tc.status
			}
			report := w.run(func(c *doctor.Config) {
				mounted(folder)(c)
				if tc.config != nil {
					tc.config(c, folder)
				}
			})
			want(t, report, tc.statuses, tc.check, tc.texts...)
			w.wantNothingLeft(folder)
		})
	}
}

// TestWithoutPermissionToDelete: the operator deletes the groups, since a dispatcher may
// only patch them.
func TestWithoutPermissionToDelete(t *testing.T) {
	w := newWard(t)
	w.denied = []string{"delete taskgroups"}
	w.t = t
	removed := make(chan string, 2)
	stop := w.deleteCancelled(removed)
	defer stop()
	want(t, w.run(nil), noStore, doctor.CheckOperator)
	w.wantNothingLeft()
	if len(removed) != 2 {
		t.Errorf("the operator deleted %d groups", len(removed))
	}
}
