// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestEveryErrorSaysWhatToDo(t *testing.T) {
	resource := schema.GroupResource{Group: v1alpha1.GroupName, Resource: "taskgroups"}
	unserved := apierrors.NewGenericServerResponse(404, "get", resource, "", "404 page not found", 0, true)
	refused := &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/apis", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	for name, tc := range map[string]struct {
		err        error
		what, next string
	}{
		"no cluster":          {refused, "the API server at https://10.0.0.1:6443 does not answer: connection refused", "current-context"},
		"no CRD":              {unserved, "its CRD is not installed", "kubectl apply -k config/default"},
		"nobody":              {apierrors.NewUnauthorized("no"), "does not know you", "log in again"},
		"not allowed":         {apierrors.NewForbidden(resource, "g", errors.New("no")), "forbidden", "RoleBinding"},
		"over quota":          {apierrors.NewForbidden(resource, "g", errors.New("exceeded quota: team")), "exceeded quota", "a larger quota"},
		"a webhook":           {apierrors.NewForbidden(resource, "g", errors.New("admission webhook \"p\" denied the request")), "denied", "a policy of the cluster"},
		"a missing namespace": {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "team-z"), "not found", "kubectl create namespace team-z"},
		"a terminating namespace": {&apierrors.StatusError{ErrStatus: metav1.Status{
			Status: "Failure", Code: 403, Reason: metav1.StatusReasonForbidden, Message: "unable to create new content in namespace team-z because it is being terminated",
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}},
		}}, "being terminated", "wait until the namespace is deleted"},
		"an older CRD": {
			apierrors.NewBadRequest(`TaskGroup in version "v1alpha1" cannot be handled as a TaskGroup: strict decoding error: unknown field "spec.new"`),
			"the CRD of this cluster has no spec.new", "upgrade the operator and its CRD",
		},
		"a name that is used": {apierrors.NewAlreadyExists(resource, "g"), "already exists", "--name"},
		"a broken kubeconfig": {&configError{errors.New("no such context")}, "no such context", "get-contexts"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Explain(fmt.Errorf("listing: %w", tc.err))
			problem, ok := errors.AsType[*Problem](err)
			if !ok || !strings.Contains(problem.What, tc.what) || !strings.Contains(problem.Next, tc.next) || !errors.Is(err, tc.err) {
				t.Errorf("explained as %v", err)
			}
		})
	}
	plain := errors.New("something else")
	if _, ok := errors.AsType[*Problem](Explain(plain)); ok || Explain(nil) != nil {
		t.Error("an error of no known kind was changed")
	}
}

func TestNearest(t *testing.T) {
	var groups []v1alpha1.TaskGroup
	for _, tg := range testkit.Samples() {
		groups = append(groups, *tg)
	}
	for typed, want := range map[string]string{
		"comands": "commands", "too-much": "too-much-memory", "demo_run": "demo-run", "xyz": "", "": "", "nwe": "", "ne": "new",
	} {
		if got := nearest(typed, groups); got != want {
			t.Errorf("nearest to %q is %q, want %q", typed, got, want)
		}
	}
}

// TestKubeconfigFlags: the flags are the flags of kubectl; a missing file is an error.
func TestKubeconfigFlags(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	var flags Flags
	_, err := flags.Connect()
	if problem, ok := errors.AsType[*Problem](Explain(err)); !ok || !strings.Contains(problem.What, "there is no kubeconfig") {
		t.Errorf("without a kubeconfig: %v", err)
	}
}
