// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// everything has a value for each condition of the templates.
const everything = `
namespace: {create: true}
watchNamespaces: [team-a, team-b]
images:
  registry: registry.example.com/taskgroup
  pullSecrets: [{name: pull}]
  gateway: {tag: v1, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
  python: {repository: registry.example.com/python, tag: "3.12"}
operator:
  runnerDelivery: InitContainer
  podUser: none
  extraArgs: [--concurrency=4]
  podAnnotations: {a: b}
  podLabels: {a: b}
  serviceAccount: {annotations: {a: b}}
  tolerations: [{key: a, operator: Exists}]
  affinity: {nodeAffinity: {}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}]
gateway:
  namespaceQuotas: {team-a: 50Gi}
  hostNames: [gateway.example.com]
  extraArgs: [--max-transfers=64]
  persistence: {storageClassName: fast}
  clients: [{kind: User, name: ada, apiGroup: rbac.authorization.k8s.io}]
dispatchers: {namespaces: [team-a]}
metrics:
  networkPolicy: {enabled: true}
  readers: [{kind: ServiceAccount, name: prometheus, namespace: monitoring}]
  serviceMonitor: {enabled: true, labels: {release: prometheus}}
  prometheusRule: {enabled: true, labels: {release: prometheus}}
`

func container(all objects, deployment string) object {
	containers := field(all["Deployment "+deployment], "spec", "template", "spec")["containers"].([]any)
	return containers[0].(object)
}

func TestEverything(t *testing.T) {
	all, _ := render(t, "other", everything)
	if got, want := container(all, "other/taskgroup-gateway")["image"], "registry.example.com/taskgroup/gateway:v1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"; got != want {
		t.Errorf("the image of the gateway is %s, want %s", got, want)
	}
	for _, name := range []string{
		"ServiceMonitor other/taskgroup-operator", "ServiceMonitor other/taskgroup-gateway", "PrometheusRule other/taskgroup-operator",
		"Service other/taskgroup-operator-metrics", "NetworkPolicy other/taskgroup-operator-metrics", "Role team-a/taskgroup-operator",
		"RoleBinding team-b/taskgroup-operator", "ServiceAccount team-a/taskgroup-dispatcher", "RoleBinding other/taskgroup-gateway-client",
		"ClusterRoleBinding /taskgroup-metrics-reader",
	} {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	groups, _ := field(all["PrometheusRule other/taskgroup-operator"], "spec")["groups"].([]any)
	if len(groups) == 0 {
		t.Error("the PrometheusRule has no groups")
	}
}

// TestNamespacesAreTheReleases requires that no object refers to the default namespace
// when the release is in another one.
func TestNamespacesAreTheReleases(t *testing.T) {
	all, notes := render(t, "other", everything)
	for name, o := range all {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), namespace) && !strings.HasPrefix(name, "CustomResourceDefinition ") {
			t.Errorf("%s refers to %s", name, namespace)
		}
	}
	if !strings.Contains(notes, `gateway="other/taskgroup-gateway"`) {
		t.Errorf("the notes do not state the option of executors:\n%s", notes)
	}
}

// TestArgumentsExist requires that the programs have all flags that the chart can set.
func TestArgumentsExist(t *testing.T) {
	for _, text := range []string{everything, "gateway: {bucket: {existingSecret: bucket}}"} {
		all, _ := render(t, "other", text)
		for deployment, program := range map[string]string{"other/taskgroup-operator": "manager", "other/taskgroup-gateway": "gateway"} {
			options := read(t, root, "cmd", program, "options.go")
			for _, arg := range container(all, deployment)["args"].([]any) {
				name, _, _ := strings.Cut(strings.TrimPrefix(arg.(string), "--"), "=")
				if !strings.Contains(options, `"`+name+`"`) {
					t.Errorf("%s has no flag --%s", program, name)
				}
			}
		}
	}
}

// TestNamespacedInstallation renders what the README has for users without permissions
// in the whole cluster.
func TestNamespacedInstallation(t *testing.T) {
	all, _ := render(t, "team-a", `{watchNamespaces: [team-a], crds: {install: false}, metrics: {enabled: false}, gateway: {enabled: false},
		rbac: {userRoles: false}, priorityClass: {create: false, name: ""}}`)
	for name, o := range all {
		if field(o, "metadata")["namespace"] != "team-a" {
			t.Errorf("%s is not in the namespace", name)
		}
	}
	args := container(all, "team-a/taskgroup-operator")["args"].([]any)
	if !slices.Contains(args, any("--namespaces=team-a")) {
		t.Errorf("arguments are %v", args)
	}
	if all["RoleBinding team-a/taskgroup-operator"] == nil {
		t.Error("the operator has no permissions")
	}
}

func TestSchemaRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown value":              "gatway: {enabled: false}",
		"an unknown value of a section": "gateway: {persistence: {volumeSize: 1Gi}}",
		"an unknown value of an image":  "images: {manager: {version: v1}}",
		"a number as text":              "operator: {replicas: two}",
		"a namespace with a dot":        "watchNamespaces: [a.b]",
		"a namespace twice":             "watchNamespaces: [a, a]",
		"a quota that is no quantity":   "gateway: {quota: ten}",
		"another delivery":              "operator: {runnerDelivery: Magic}",
		"the user root":                 "operator: {podUser: 0}",
		"an argument without a dash":    "operator: {extraArgs: [concurrency=4]}",
		"a digest without an algorithm": "images: {runner: {digest: abc}}",
		"an account without namespace":  "metrics: {readers: [{kind: ServiceAccount, name: prometheus}]}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tryRender(t.Context(), namespace, values(t, text)); err == nil || !strings.Contains(err.Error(), "schema") {
				t.Errorf("got %v, want an error of the schema", err)
			}
		})
	}
	if _, err := tryRender(t.Context(), namespace, values(t, "global: {a: b}")); err != nil {
		t.Errorf("the values that Helm passes to subcharts are refused: %v", err)
	}
}

// open are the values whose content is not the chart's.
var open = regexp.MustCompile(`(resources|podSecurityContext|nodeSelector|namespaceSelector)$`)

// paths lists the values of a section, as gateway.quota.
func paths(prefix string, section object) (all []string) {
	for key, value := range section {
		path := strings.TrimPrefix(prefix+"."+key, ".")
		if inner, ok := value.(object); ok && len(inner) > 0 && !open.MatchString(path) {
			all = append(all, paths(path, inner)...)
		} else {
			all = append(all, path)
		}
	}
	return all
}

func TestReadmeHasEveryValue(t *testing.T) {
	readme := read(t, directory, "README.md")
	for _, path := range paths("", values(t, read(t, directory, "values.yaml"))) {
		path = regexp.MustCompile(`^(images\.(manager|runner|gateway|python))\..*`).ReplaceAllString(path, "$1")
		if !strings.Contains(readme, "`"+path+"`") {
			t.Errorf("README.md does not have %s", path)
		}
	}
}

// TestSchemaHasEveryValue requires a schema for each value: without one, the strict
// schema would refuse the defaults, and with further ones, it would accept typing errors.
func TestSchemaHasEveryValue(t *testing.T) {
	var schema object
	if err := json.Unmarshal([]byte(read(t, directory, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	compareKeys(t, "", schema, values(t, read(t, directory, "values.yaml")))
}

func compareKeys(t *testing.T, path string, schema, section object) {
	t.Helper()
	properties := field(schema, "properties")
	if properties == nil {
		return
	}
	if schema["additionalProperties"] != false {
		t.Errorf("the section %q permits further values", path)
	}
	for key, inner := range properties {
		value, exists := section[key]
		if !exists && key != "global" {
			t.Errorf("values.yaml has no %s.%s", path, key)
		}
		if nested, ok := value.(object); ok {
			compareKeys(t, path+"."+key, inner.(object), nested)
		}
	}
}

// TestAlertsUseMetricsThatExist compares the names in expressions with those in the sources.
func TestAlertsUseMetricsThatExist(t *testing.T) {
	var sources strings.Builder
	for _, dir := range []string{"controllers", "gateway/server", "gateway/collect"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			sources.WriteString(read(t, file))
		}
	}
	expressions := regexp.MustCompile(`(?m)^\s*expr: (.*)$`).FindAllStringSubmatch(read(t, directory, "files/alerts.yaml"), -1)
	if len(expressions) == 0 {
		t.Fatal("no alerts")
	}
	for _, expression := range expressions {
		for _, metric := range regexp.MustCompile(`taskgroups?(_[a-z_]+)?`).FindAllString(expression[1], -1) {
			name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
			if !strings.Contains(sources.String(), `"`+name+`"`) {
				t.Errorf("no metric %s, which %s uses", name, expression[1])
			}
		}
	}
}
