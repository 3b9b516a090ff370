// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/certs"
)

// readManifests decodes the manifests of a kind in a file of config/gateway, strictly.
func readManifests[T any](t *testing.T, file, kind string) []T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../config/gateway", file))
	if err != nil {
		t.Fatal(err)
	}
	var objects []T
	for document := range strings.SplitSeq(string(raw), "\n---\n") {
		if !strings.Contains(document, "\nkind: "+kind+"\n") {
			continue
		}
		var object T
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, object)
	}
	if len(objects) == 0 {
		t.Fatalf("%s has no %s", file, kind)
	}
	return objects
}

// TestDeployment requires that the manifests fit to each other and to the options.
func TestDeployment(t *testing.T) {
	deployment := readManifests[appsv1.Deployment](t, "deployment.yaml", "Deployment")[0]
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	for _, variable := range container.Env {
		t.Setenv(variable.Name, "")
	}
	t.Setenv("POD_NAMESPACE", deployment.Namespace)
	options, err := parseOptions(container.Args, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if *deployment.Spec.Replicas != 1 || deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Error("two processes would use the volume")
	}
	if mount := container.VolumeMounts[0]; mount.MountPath != options.Volume || mount.ReadOnly {
		t.Errorf("the volume is mounted at %s, the gateway uses %s", mount.MountPath, options.Volume)
	}
	claim := readManifests[corev1.PersistentVolumeClaim](t, "persistent_volume_claim.yaml", "PersistentVolumeClaim")[0]
	if pod.Volumes[0].PersistentVolumeClaim.ClaimName != claim.Name {
		t.Errorf("the pod uses the claim %s", pod.Volumes[0].PersistentVolumeClaim.ClaimName)
	}
	if size := claim.Spec.Resources.Requests[corev1.ResourceStorage]; size.Value() <= options.Quota {
		t.Error("one namespace can fill the volume")
	}
	service := readManifests[corev1.Service](t, "service.yaml", "Service")[0]
	policy := readManifests[networkingv1.NetworkPolicy](t, "network_policy.yaml", "NetworkPolicy")[0]
	secret := readManifests[corev1.Secret](t, "tls.yaml", "Secret")[0]
	configMap := readManifests[corev1.ConfigMap](t, "tls.yaml", "ConfigMap")[0]
	if service.Name != options.Service || secret.Name != options.SecretName || configMap.Name != options.ConfigMap || len(secret.Data)+len(configMap.Data) > 0 {
		t.Errorf("the gateway uses %s, %s and %s", options.Service, options.SecretName, options.ConfigMap)
	}
	if hosts := certs.Hosts(service.Name, service.Namespace); hosts[0] != "taskgroup-gateway.taskgroup-system.svc" {
		t.Errorf("the host is %s", hosts[0])
	}
	for key, value := range service.Spec.Selector {
		if deployment.Spec.Template.Labels[key] != value || policy.Spec.PodSelector.MatchLabels[key] != value {
			t.Errorf("the selectors differ in %s=%s", key, value)
		}
	}
	for name, address := range map[string]string{"https": options.Address, "health": options.ProbeAddress} {
		if !slices.ContainsFunc(container.Ports, func(p corev1.ContainerPort) bool {
			return p.Name == name && ":"+strconv.Itoa(int(p.ContainerPort)) == address
		}) {
			t.Errorf("the container has no port %s %s", name, address)
		}
	}
}

// TestBucketPatch requires that the patch for a bucket fits to the options.
func TestBucketPatch(t *testing.T) {
	raw, err := os.ReadFile("../../config/gateway-bucket/deployment_patch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var operations []struct {
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if err := yaml.Unmarshal(raw, &operations); err != nil {
		t.Fatal(err)
	}
	const container = "/spec/template/spec/containers/0/"
	var args []string
	mount := ""
	for _, operation := range operations {
		switch operation.Path {
		case container + "args":
			for _, arg := range operation.Value.([]any) {
				args = append(args, strings.ReplaceAll(arg.(string), "$(TASKGROUP_BUCKET)", "gs://bucket/prefix"))
			}
		case container + "volumeMounts":
			mount = operation.Value.([]any)[0].(map[string]any)["mountPath"].(string)
		}
	}
	options, err := parseOptions(args, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if options.Bucket != "gs://bucket/prefix" || options.UploadDir != mount || options.UploadSpace == 0 {
		t.Errorf("options %+v, folder %s", options, mount)
	}
}

// TestRolesNameTheirObjects requires that permissions on Secrets and ConfigMaps are for
// the objects of the gateway only.
func TestRolesNameTheirObjects(t *testing.T) {
	var rules []rbacv1.PolicyRule
	for _, role := range readManifests[rbacv1.ClusterRole](t, "role.yaml", "ClusterRole") {
		for _, rule := range role.Rules {
			if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "configmaps") {
				t.Errorf("%s permits %v in all namespaces", role.Name, rule.Resources)
			}
		}
	}
	for _, role := range readManifests[rbacv1.Role](t, "role.yaml", "Role") {
		rules = append(rules, role.Rules...)
	}
	rules = append(rules, readManifests[rbacv1.Role](t, "client_role.yaml", "Role")[0].Rules...)
	for _, rule := range rules {
		if len(rule.ResourceNames) != 1 {
			t.Errorf("%v are permitted without a name", rule.Resources)
		}
	}
}
