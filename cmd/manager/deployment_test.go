// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// readManifest decodes a manifest of config strictly.
func readManifest[T any](t *testing.T, file string) *T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../config", file))
	if err != nil {
		t.Fatal(err)
	}
	var object T
	if err := yaml.UnmarshalStrict(raw, &object); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return &object
}

// TestDeploymentStarts parses the arguments of the Deployment as the kubelet expands
// them. The images come from variables, which kustomize finds by the images' names.
func TestDeploymentStarts(t *testing.T) {
	container := readManifest[appsv1.Deployment](t, "manager/deployment.yaml").Spec.Template.Spec.Containers[0]
	args := make([]string, len(container.Args))
	for i, arg := range container.Args {
		for _, variable := range container.Env {
			arg = strings.ReplaceAll(arg, "$("+variable.Name+")", variable.Value)
		}
		args[i] = arg
	}
	options, err := parseOptions(args, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "localhost/taskgroup-operator/runner:dev"; options.RunnerImage != want {
		t.Errorf("--runner-image is %s, want %s", options.RunnerImage, want)
	}
	if want := "localhost/taskgroup-operator/python:dev"; options.DefaultImage != want {
		t.Errorf("--default-image is %s, want %s", options.DefaultImage, want)
	}
}

// TestDeploymentResources requires what the operator uses with 10,000 groups
// (docs/benchmarks.md), and a limit of the Go runtime that follows the container's.
func TestDeploymentResources(t *testing.T) {
	container := readManifest[appsv1.Deployment](t, "manager/deployment.yaml").Spec.Template.Spec.Containers[0]
	requests := container.Resources.Requests
	if requests.Cpu().Cmp(resource.MustParse("100m")) < 0 || requests.Memory().Cmp(resource.MustParse("105Mi")) < 0 {
		t.Errorf("requests are %v, want at least 100m of CPU and 105Mi of memory", requests)
	}
	for _, variable := range container.Env {
		if from := variable.ValueFrom; variable.Name == "GOMEMLIMIT" && from != nil && from.ResourceFieldRef != nil {
			if got := *from.ResourceFieldRef; got.Resource != "limits."+string(corev1.ResourceMemory) || got.ContainerName != container.Name {
				t.Errorf("GOMEMLIMIT is %v", got)
			}
			return
		}
	}
	t.Error("GOMEMLIMIT is not derived from the container's limit")
}

// TestDeploymentIsSelected requires that the objects beside the Deployment refer to it.
func TestDeploymentIsSelected(t *testing.T) {
	deployment := readManifest[appsv1.Deployment](t, "manager/deployment.yaml")
	class := readManifest[schedulingv1.PriorityClass](t, "manager/priority_class.yaml")
	if got := deployment.Spec.Template.Spec.PriorityClassName; got != class.Name || class.GlobalDefault {
		t.Errorf("the priority class is %s, want %s, which must not be the default of all pods", got, class.Name)
	}
	budget := readManifest[policyv1.PodDisruptionBudget](t, "manager/pod_disruption_budget.yaml")
	if budget.Spec.MaxUnavailable == nil || budget.Spec.MaxUnavailable.IntValue() < 1 {
		t.Error("with one replica, the budget blocks every drain")
	}
	policy := readManifest[networkingv1.NetworkPolicy](t, "network-policy/metrics.yaml")
	for name, selector := range map[string]*metav1.LabelSelector{"PodDisruptionBudget": budget.Spec.Selector, "NetworkPolicy": &policy.Spec.PodSelector} {
		selects, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if !selects.Matches(labels.Set(deployment.Spec.Template.Labels)) {
			t.Errorf("the %s does not select the operator's pods", name)
		}
	}
}
