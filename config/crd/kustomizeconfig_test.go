// SPDX-License-Identifier: Apache-2.0

// Package crd_test tests the configuration of kustomize for TaskGroups.
package crd_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const configuration = "kustomizeconfig.yaml"

const kustomization = `
resources: [group.yaml, objects.yaml]
configurations: [kustomizeconfig.yaml]
namePrefix: p-
configMapGenerator:
- {name: settings, literals: [a=b]}
secretGenerator:
- {name: credentials, literals: [a=b]}
images:
- {name: python, newName: registry.example/python, newTag: "3.13"}
`

const objects = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: worker}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: urgent}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: gpu}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: gpus}
`

const group = `
apiVersion: kubernetes.covalent.xyz/v1alpha1
kind: TaskGroup
metadata: {name: g}
spec:
  tasks: [{nodeID: 0, command: ["true"]}]
  assets: {outputs: "file:///out"}
  pod:
    image: python:3.12
    imagePullSecrets: [{name: credentials}]
    serviceAccountName: worker
    priorityClassName: urgent
    env:
    - {name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}
    - {name: B, valueFrom: {secretKeyRef: {name: credentials, key: a}}}
    envFrom:
    - configMapRef: {name: settings}
    - secretRef: {name: credentials}
    resourceClaims:
    - {name: one, resourceClaimName: gpu}
    - {name: each, resourceClaimTemplateName: gpus}
    volumes:
    - {name: a, configMap: {name: settings}}
    - {name: b, secret: {secretName: credentials}}
    - {name: c, persistentVolumeClaim: {claimName: data}}
    - {name: d, csi: {driver: csi.example, nodePublishSecretRef: {name: credentials}}}
    - {name: e, projected: {sources: [{configMap: {name: settings}}, {secret: {name: credentials}}]}}
    - {name: other, configMap: {name: kube-root-ca.crt}}
`

// build renders the kustomization, and returns the TaskGroup and the names of the others.
func build(t *testing.T) (tg *v1alpha1.TaskGroup, names map[string]string) {
	t.Helper()
	config, err := os.ReadFile(configuration)
	if err != nil {
		t.Fatal(err)
	}
	files := filesys.MakeFsInMemory()
	for name, text := range map[string]string{configuration: string(config), "kustomization.yaml": kustomization, "objects.yaml": objects, "group.yaml": group} {
		if err := files.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	tg, names = &v1alpha1.TaskGroup{}, map[string]string{}
	for _, resource := range rendered.Resources() {
		names[resource.GetKind()] = resource.GetName()
		if resource.GetKind() != "TaskGroup" {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(resource.MustYaml()), tg); err != nil {
			t.Fatal(err)
		}
	}
	return tg, names
}

func TestNamesAndImages(t *testing.T) {
	tg, names := build(t)
	for kind, prefix := range map[string]string{"ConfigMap": "p-settings-", "Secret": "p-credentials-", "PersistentVolumeClaim": "p-data", "ServiceAccount": "p-worker"} {
		if !strings.HasPrefix(names[kind], prefix) {
			t.Fatalf("the %s is named %s: the test cannot succeed", kind, names[kind])
		}
	}
	pod := tg.Spec.Pod
	got := map[string]string{
		"image":                     pod.Image,
		"imagePullSecrets":          pod.ImagePullSecrets[0].Name,
		"serviceAccountName":        pod.ServiceAccountName,
		"priorityClassName":         pod.PriorityClassName,
		"env configMapKeyRef":       pod.Env[0].ValueFrom.ConfigMapKeyRef.Name,
		"env secretKeyRef":          pod.Env[1].ValueFrom.SecretKeyRef.Name,
		"envFrom configMapRef":      pod.EnvFrom[0].ConfigMapRef.Name,
		"envFrom secretRef":         pod.EnvFrom[1].SecretRef.Name,
		"resourceClaimName":         *pod.ResourceClaims[0].ResourceClaimName,
		"resourceClaimTemplateName": *pod.ResourceClaims[1].ResourceClaimTemplateName,
		"volume configMap":          pod.Volumes[0].ConfigMap.Name,
		"volume secret":             pod.Volumes[1].Secret.SecretName,
		"volume claim":              pod.Volumes[2].PersistentVolumeClaim.ClaimName,
		"volume csi":                pod.Volumes[3].CSI.NodePublishSecretRef.Name,
		"projected configMap":       pod.Volumes[4].Projected.Sources[0].ConfigMap.Name,
		"projected secret":          pod.Volumes[4].Projected.Sources[1].Secret.Name,
		"a name of no object":       pod.Volumes[5].ConfigMap.Name,
	}
	settings, credentials := names["ConfigMap"], names["Secret"]
	want := map[string]string{
		"image": "registry.example/python:3.13", "imagePullSecrets": credentials, "serviceAccountName": "p-worker", "priorityClassName": "p-urgent",
		"env configMapKeyRef": settings, "env secretKeyRef": credentials, "envFrom configMapRef": settings, "envFrom secretRef": credentials,
		"resourceClaimName": "p-gpu", "resourceClaimTemplateName": "p-gpus",
		"volume configMap": settings, "volume secret": credentials, "volume claim": "p-data", "volume csi": credentials,
		"projected configMap": settings, "projected secret": credentials, "a name of no object": "kube-root-ca.crt",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// references are the fields of the types of Kubernetes that name another object.
var references = map[reflect.Type]string{
	reflect.TypeFor[corev1.ConfigMapKeySelector]():              "name",
	reflect.TypeFor[corev1.SecretKeySelector]():                 "name",
	reflect.TypeFor[corev1.ConfigMapEnvSource]():                "name",
	reflect.TypeFor[corev1.SecretEnvSource]():                   "name",
	reflect.TypeFor[corev1.ConfigMapVolumeSource]():             "name",
	reflect.TypeFor[corev1.ConfigMapProjection]():               "name",
	reflect.TypeFor[corev1.SecretProjection]():                  "name",
	reflect.TypeFor[corev1.SecretVolumeSource]():                "secretName",
	reflect.TypeFor[corev1.LocalObjectReference]():              "name",
	reflect.TypeFor[corev1.PersistentVolumeClaimVolumeSource](): "claimName",
}

// TestEveryReferenceIsConfigured finds the references in spec.pod by their types, so that
// the configuration follows the API.
func TestEveryReferenceIsConfigured(t *testing.T) {
	raw, err := os.ReadFile(configuration)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		NameReference []struct {
			FieldSpecs []struct{ Path string }
		}
	}
	if err := yaml.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	var configured []string
	for _, reference := range config.NameReference {
		for _, spec := range reference.FieldSpecs {
			configured = append(configured, spec.Path)
		}
	}
	found := paths(reflect.TypeFor[v1alpha1.PodOptions](), "spec/pod")
	if len(found) < 11 {
		t.Errorf("found only %q", found)
	}
	for _, path := range found {
		if !slices.Contains(configured, path) {
			t.Errorf("%s has no path %s", configuration, path)
		}
	}
}

// paths returns the paths of the references in a type.
func paths(of reflect.Type, at string) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if field, ok := references[of]; ok {
		return []string{at + "/" + field}
	}
	// A template of a claim names objects that are not the user's.
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[corev1.EphemeralVolumeSource]() {
		return nil
	}
	var found []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		below := at
		if name != "" {
			below += "/" + name
		}
		found = append(found, paths(field.Type, below)...)
	}
	return found
}
