// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/apifault"
)

// Problem is an error with what to do about it.
type Problem struct {
	What string
	Next string
	Err  error
}

// Error is what is wrong, and on a line that begins with "next:" what to do.
func (p *Problem) Error() string {
	if p.Next == "" {
		return p.What
	}
	return p.What + "\nnext: " + p.Next
}

// Unwrap is the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Explain adds to an error what to do next, where its kind determines it.
func Explain(err error) error {
	if _, ok := errors.AsType[*Problem](err); ok || err == nil {
		return err
	}
	for _, known := range []func(error) *Problem{explainConfig, explainConnection, explainAnswer} {
		if problem := known(err); problem != nil {
			problem.Err = err
			return problem
		}
	}
	return err
}

func explainConfig(err error) *Problem {
	config, ok := errors.AsType[*configError](err)
	if !ok {
		return nil
	}
	if clientcmd.IsEmptyConfig(config.error) {
		return &Problem{
			What: "no cluster to talk to: there is no kubeconfig",
			Next: "set KUBECONFIG or --kubeconfig to one; where kubectl works, this program does",
		}
	}
	return &Problem{What: err.Error(), Next: "kubectl config view shows what is set, kubectl config get-contexts the contexts"}
}

func explainConnection(err error) *Problem {
	var host string
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		if u, parseError := url.Parse(urlError.URL); parseError == nil {
			host = u.Scheme + "://" + u.Host
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return &Problem{What: host + " has a certificate of another authority than the kubeconfig's", Next: "the cluster may have been recreated: fetch its kubeconfig again"}
	}
	if certificate, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return &Problem{What: fmt.Sprintf("%s: %s", host, certificate.Error()), Next: "renew the certificate, or look at this machine's clock"}
	}
	var network net.Error
	if errors.As(err, &network) && !errors.Is(err, context.Canceled) {
		cause := err
		if operation, ok := errors.AsType[*net.OpError](err); ok {
			cause = operation.Err
		}
		if host == "" {
			return &Problem{What: fmt.Sprintf("the connection to the API server failed: %v", cause)}
		}
		return &Problem{
			What: fmt.Sprintf("the API server at %s does not answer: %v", host, cause),
			Next: "see whether the cluster runs, and whether kubectl config current-context is the one you mean",
		}
	}
	return nil
}

func explainAnswer(err error) *Problem {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	switch apifault.KindOf(err) {
	case apifault.NotServed:
		return &Problem{
			What: "this cluster has no TaskGroups: its CRD is not installed",
			Next: "install the operator with kubectl apply -k config/default, or choose another cluster with --context",
		}
	case apifault.Unauthorized:
		return &Problem{What: "the API server does not know you: its answer is Unauthorized", Next: "log in again, or fetch a new kubeconfig"}
	case apifault.NamespaceMissing:
		return explainNamespace(status.Status())
	case apifault.Forbidden, apifault.NamespaceTerminating, apifault.Quota, apifault.Policy:
		return explainForbidden(err, status.Status())
	case apifault.AlreadyExists:
		return &Problem{What: status.Status().Message, Next: "choose another --name, or leave it out: a group runs once"}
	case apifault.UnknownFields:
		return &Problem{
			What: "the CRD of this cluster has no " + strings.Join(apifault.FieldsUnknown(err), ", "),
			Next: "upgrade the operator and its CRD to the release of this program, or leave these fields out",
		}
	case apifault.Invalid:
		if !apierrors.IsInvalid(err) {
			return nil
		}
		return &Problem{What: refused(status.Status()), Next: "kubectl explain tg.spec tells what each field takes"}
	case apifault.Other, apifault.NotFound, apifault.Transient:
	}
	return nil
}

func explainNamespace(status metav1.Status) *Problem {
	return &Problem{
		What: status.Message,
		Next: "create it with kubectl create namespace " + status.Details.Name + ", or choose another one with -n",
	}
}

// explainForbidden explains the refusals of the authorizer and of admission.
func explainForbidden(err error, status metav1.Status) *Problem {
	next := "ask for a RoleBinding to the ClusterRole view, to read, or edit, to change (the operator adds TaskGroups to both)"
	kind := apifault.KindOf(err)
	switch {
	case kind == apifault.NamespaceTerminating:
		next = "wait until the namespace is deleted and create it again, or choose another one with -n"
	case kind == apifault.Quota:
		next = "wait until other groups have finished, or request a larger quota"
	case kind == apifault.Policy:
		next = "change what the message names: a policy of the cluster refuses it, not a missing permission"
	case status.Details != nil && status.Details.Kind == "pods":
		next = "ask for a RoleBinding to the ClusterRole view: it permits to read pods and their logs"
	}
	return &Problem{What: status.Message, Next: next}
}

// refused lists what an API server finds wrong with an object, a line each.
func refused(status metav1.Status) string {
	if status.Details == nil || len(status.Details.Causes) == 0 {
		return status.Message
	}
	lines := []string{"the API server refuses the TaskGroup:"}
	for _, cause := range status.Details.Causes {
		lines = append(lines, "  "+cause.Field+": "+cause.Message)
	}
	return strings.Join(slices.Compact(lines), "\n")
}

// IsGone reports whether the group of a request does not exist.
func IsGone(err error) bool { return apifault.KindOf(err) == apifault.NotFound }

// MayPass reports whether another request may succeed.
func MayPass(err error) bool {
	var network net.Error
	return errors.As(err, &network) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err)
}

// notFound reports a missing group, with the nearest name that is.
func (s *Session) notFound(ctx context.Context, name string, err error) error {
	problem := &Problem{What: fmt.Sprintf("there is no TaskGroup %q in the namespace %s", name, s.Namespace), Err: err}
	var everywhere v1alpha1.TaskGroupList
	here, listed := s.List(ctx, s.Namespace, nil)
	switch {
	case listed == nil && nearest(name, here.Items) != "":
		problem.Next = fmt.Sprintf("did you mean %q?", nearest(name, here.Items))
	case s.Client.List(ctx, &everywhere) == nil && namespaceOf(name, everywhere.Items) != "":
		problem.Next = fmt.Sprintf("there is one in the namespace %s: add -n %s", namespaceOf(name, everywhere.Items), namespaceOf(name, everywhere.Items))
	case listed == nil && len(here.Items) == 0:
		problem.Next = "the namespace has no TaskGroups: list -A shows all, -n chooses another namespace"
	default:
		problem.Next = "list shows those that there are, -n chooses another namespace"
	}
	return problem
}

func namespaceOf(name string, groups []v1alpha1.TaskGroup) string {
	for i := range groups {
		if groups[i].Name == name {
			return groups[i].Namespace
		}
	}
	return ""
}

// gitVersion is the version of an answer of /version.
func gitVersion(raw []byte) string {
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if json.Unmarshal(raw, &version) != nil {
		return ""
	}
	return version.GitVersion
}
