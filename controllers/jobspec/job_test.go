// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	psaapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// defaultResources are the resources of the golden Jobs whose names contain "defaults".
var defaultResources = corev1.ResourceRequirements{
	Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
	Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
}

var testConfig = Config{DefaultImage: "python:default", RunnerImage: "runner:test", Delivery: ImageVolume}

// attempts are the golden ones; any other is the first.
var attempts = map[string]Attempt{
	"retry": {Number: 3, OOMs: 2, Previous: &contract.ManifestReference{
		URI: "file:///out/0c5f1a70-0000-4000-8000-000000000005/a1/manifest.json", SHA256: strings.Repeat("ab", 32),
	}},
	"default_resources_grown": {Number: 2, OOMs: 1},
	"retry_parallel":          {Number: 2, Done: map[v1alpha1.NodeID]bool{3: true}},
}

// TestGoldenJobs renders testdata/NAME.input.yaml and compares with
// NAME.output.yaml, the plan of which is shown decoded.
func TestGoldenJobs(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.input.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".input.yaml")
		t.Run(name, func(t *testing.T) {
			tg := readTaskGroup(t, input)
			cfg := testConfig
			if strings.HasPrefix(name, "init_container") {
				cfg.Delivery = InitContainer
			}
			if strings.HasPrefix(name, "gateway") {
				cfg.Gateway = &Gateway{URL: "https://taskgroup-gateway.taskgroup-system.svc", Authorities: "-----BEGIN CERTIFICATE-----\n"}
			}
			if strings.HasPrefix(name, "default_resources") {
				cfg.DefaultResources = defaultResources
			}
			attempt, ok := attempts[name]
			if !ok {
				attempt = Attempt{Number: 1}
			}
			job, err := Job(tg, attempt, cfg)
			if err != nil {
				t.Fatal(err)
			}
			requireRestricted(t, job)
			compareGolden(t, filepath.Join("testdata", name+".output.yaml"), job)
		})
	}
}

func readTaskGroup(t *testing.T, file string) *v1alpha1.TaskGroup {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := yaml.UnmarshalStrict(raw, &tg); err != nil {
		t.Fatal(err)
	}
	return &tg
}

// golden is a Job as the golden files show it.
type golden struct {
	Job  *batchv1.Job   `json:"job"`
	Plan *contract.Plan `json:"plan"`
}

func compareGolden(t *testing.T, file string, job *batchv1.Job) {
	t.Helper()
	env := job.Spec.Template.Spec.Containers[0].Env
	encoded := &env[len(env)-1]
	plan, err := contract.DecodePlan(encoded.Value)
	if err != nil {
		t.Fatal(err)
	}
	encoded.Value = "(decoded below)"
	got, err := yaml.Marshal(golden{Job: job, Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), rewrite with -update:\n%s", file, diff)
	}
}

// requireRestricted checks a pod with the admission plugin's own policy (invariant I27).
func requireRestricted(t *testing.T, job *batchv1.Job) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &job.Spec.Template
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
		if !result.Allowed {
			t.Errorf("not restricted: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

func TestJobIsDeterministic(t *testing.T) {
	tg := readTaskGroup(t, "testdata/functions.input.yaml")
	first, err := Job(tg, Attempt{Number: 1}, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := Job(tg, Attempt{Number: 1}, testConfig)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("the same group gave another Job:\n%s", diff)
		}
	}
}

// TestJobSharesNothing guards the informer's cache: the caller may
// write to it.
func TestJobSharesNothing(t *testing.T) {
	tg := readTaskGroup(t, "testdata/every_option.input.yaml")
	before := tg.DeepCopy()
	job, err := Job(tg, Attempt{Number: 1}, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	spec := &job.Spec.Template.Spec
	spec.NodeSelector["added"] = "x"
	spec.Containers[0].Resources.Limits[corev1.ResourceCPU] = spec.Containers[0].Resources.Limits[corev1.ResourceMemory]
	spec.Tolerations[0].Key = "changed"
	job.Labels["added"] = "x"
	job.Spec.Template.Annotations["added"] = "x"
	if diff := cmp.Diff(before, tg); diff != "" {
		t.Errorf("writing to the Job changed the TaskGroup:\n%s", diff)
	}
}

func TestJobOfTooManyLongURIs(t *testing.T) {
	tg := readTaskGroup(t, "testdata/functions.input.yaml")
	tg.Spec.Tasks = nil
	for i := range 256 {
		tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{
			NodeID:  v1alpha1.NodeID(i),
			Command: []string{incompressible(i, 1024)},
		})
	}
	if _, err := Job(tg, Attempt{Number: 1}, testConfig); !errors.Is(err, contract.ErrPlanTooLarge) {
		t.Fatalf("256 incompressible KiB: got %v, want %v", err, contract.ErrPlanTooLarge)
	}
}

// TestJobWithoutAGateway: an operator without a gateway reports it for each place in a spec
// that may name one.
func TestJobWithoutAGateway(t *testing.T) {
	const uri = "gateway://team-a/content/0"
	for name, change := range map[string]func(*v1alpha1.Assets){
		"functions": func(a *v1alpha1.Assets) { a.Functions["8"] = uri },
		"inputs":    func(a *v1alpha1.Assets) { a.Inputs["4"] = uri },
		"hooks":     func(a *v1alpha1.Assets) { a.Hooks["7"] = uri },
		"outputs":   func(a *v1alpha1.Assets) { a.Outputs = "gateway://team-a/groups" },
		"index":     func(a *v1alpha1.Assets) { a.Index = &v1alpha1.ObjectReference{URI: uri} },
	} {
		tg := readTaskGroup(t, "testdata/functions.input.yaml")
		change(tg.Spec.Assets)
		if _, err := Job(tg, Attempt{Number: 1}, testConfig); !errors.Is(err, ErrNoGateway) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJobWithoutAnImage(t *testing.T) {
	tg := readTaskGroup(t, "testdata/commands.input.yaml")
	if _, err := Job(tg, Attempt{Number: 1}, Config{RunnerImage: "runner:test", Delivery: ImageVolume}); !errors.Is(err, ErrNoImage) {
		t.Errorf("got %v, want %v", err, ErrNoImage)
	}
}

// incompressible is n characters of a linear congruential generator's output.
func incompressible(seed, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	x := uint64(seed)*2862933555777941757 + 3037000493
	text := make([]byte, n)
	for i := range text {
		x = x*6364136223846793005 + 1442695040888963407
		text[i] = alphabet[x>>58]
	}
	return string(text)
}
