// SPDX-License-Identifier: Apache-2.0

package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/semver"
)

// modules is the folder of the real pinned modules.
const modules = "../modules"

func names(targets []Target) []string {
	var all []string
	for _, target := range targets {
		all = append(all, filepath.Join(target.Subdir, target.Name))
	}
	slices.Sort(all)
	return all
}

func TestTargetsOfThePinnedModules(t *testing.T) {
	tests := map[string]struct {
		controlPlaneOnly bool
		want             []string
	}{
		"a control plane": {true, []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}},
		"a whole cluster": {false, []string{
			"cni/host-local", "cni/ptp", "containerd", "containerd-shim-runc-v2", "coredns", "ctr", "etcd",
			"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			targets, err := Targets(modules, test.controlPlaneOnly)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(targets)); diff != "" {
				t.Errorf("Targets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTargetsOutsideOfACluster(t *testing.T) {
	tests := map[string]struct {
		targets func(string) ([]Target, error)
		want    []string
	}{
		"the S3 server": {S3Targets, []string{"versitygw"}},
		"kwok":          {KwokTargets, []string{"kwok"}},
		"Kueue":         {KueueTargets, []string{"kueue"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			targets, err := test.targets(modules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(targets)); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersionsComeFromTheModules(t *testing.T) {
	version, err := KubernetesVersion(modules)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := Targets(modules, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		switch target.Name {
		case "kubelet":
			if want := "k8s.io/component-base/version.gitVersion=" + version; !strings.Contains(target.LDFlags, want) {
				t.Errorf("the kubelet's link flags are %q, want %q among them", target.LDFlags, want)
			}
		case "containerd":
			if strings.Contains(target.LDFlags, "Version=v") {
				t.Errorf("containerd's version starts with a v: %q", target.LDFlags)
			}
		}
	}
}

// A target whose sources leave out a file would not be built again after a change of that file.
func TestSourcesOfOurOwnMainPackagesAreComplete(t *testing.T) {
	targets, err := Targets(modules, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		programs, err := filepath.Glob(filepath.Join(target.ModuleDir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range programs {
			if !slices.Contains(target.Sources, file) {
				t.Errorf("the sources of %s are %q, want %s among them", target.Name, target.Sources, file)
			}
		}
		if len(programs) == 0 {
			continue
		}
		for _, file := range []string{"go.mod", "go.sum"} {
			if !slices.Contains(target.Sources, filepath.Join(target.ModuleDir, file)) {
				t.Errorf("the sources of %s are %q, want %s among them", target.Name, target.Sources, file)
			}
		}
	}
}

func TestEveryStagingModuleHasTheVersionOfKubernetes(t *testing.T) {
	file, err := parseModule(filepath.Join(modules, "kubernetes", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := requiredVersion(file, kubernetesModule)
	if err != nil {
		t.Fatal(err)
	}
	want := "v0" + strings.TrimPrefix(version, "v1")
	for _, replace := range file.Replace {
		if replace.New.Version != want {
			t.Errorf("%s is at %s, want %s", replace.Old.Path, replace.New.Version, want)
		}
	}
}

func TestKeyFollowsWhatABinaryIsBuiltFrom(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("one"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	target := Target{Name: "x", ModuleDir: dir, Package: "example/x", LDFlags: "-s"}
	key := func(target Target, goVersion string) string {
		t.Helper()
		key, err := target.key(goVersion)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := key(target, "go1")
	if key(target, "go1") != first {
		t.Error("the key of the same target changed")
	}
	if key(target, "go2") == first {
		t.Error("another Go version gives the same key")
	}
	flagged := target
	flagged.LDFlags = "-w"
	if key(flagged, "go1") == first {
		t.Error("other link flags give the same key")
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if key(target, "go1") == first {
		t.Error("another go.sum gives the same key")
	}
}

func TestMissingPackagesNamesEachOnce(t *testing.T) {
	programs := []SystemProgram{{"ip", "iproute2"}, {"tc", "iproute2"}, {"runc", "runc"}, {"nft", "nftables"}}
	got := missingPackages(programs, func(command string) bool { return command == "runc" })
	if diff := cmp.Diff([]string{"iproute2", "nftables"}, got); diff != "" {
		t.Errorf("missingPackages (-want +got):\n%s", diff)
	}
}

// TestSelected: a release is selected by its version, with or without its patch.
func TestSelected(t *testing.T) {
	newest, err := versionIn(modules, kubernetesDir)
	if err != nil {
		t.Fatal(err)
	}
	for wanted, want := range map[string]string{
		"": "kubernetes", newest: "kubernetes", "1.34": "kubernetes-1.34", "v1.35": "kubernetes-1.35",
	} {
		if got, err := selected(modules, wanted); got != want || err != nil {
			t.Errorf("%q selects %q, %v, want %q", wanted, got, err, want)
		}
	}
	for _, wanted := range []string{"1.3", "1.34.99", "latest", "1"} {
		if _, err := selected(modules, wanted); err == nil || !strings.Contains(err.Error(), "the releases of Kubernetes are") || !strings.Contains(err.Error(), strings.TrimPrefix(newest, "v")) {
			t.Errorf("%q: error %v", wanted, err)
		}
	}
}

// TestReleases: the folder of a release has its version, and all releases build the same
// programs.
func TestReleases(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(modules, kubernetesDir+"-*"))
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	for _, folder := range folders {
		dir := filepath.Base(folder)
		version, err := versionIn(modules, dir)
		if err != nil {
			t.Fatal(err)
		}
		if release := strings.TrimPrefix(dir, kubernetesDir+"-"); !strings.HasPrefix(version, "v"+release+".") {
			t.Errorf("%s has %s", dir, version)
		}
		t.Setenv(VersionVariable, version)
		old, err := Targets(modules, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(VersionVariable, "")
		current, err := Targets(modules, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(names(current), names(old)); diff != "" {
			t.Errorf("programs of %s (-newest +this):\n%s", version, diff)
		}
	}
}

// TestProgramsShareVersions requires that the newest Kubernetes and CoreDNS use no older
// module than the product: the compiler builds each package once for all of them.
func TestProgramsShareVersions(t *testing.T) {
	product, err := parseModule("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{kubernetesDir, "coredns"} {
		file, err := parseModule(filepath.Join(modules, dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, require := range product.Require {
			own, err := requiredVersion(file, require.Mod.Path)
			// Modules without a version are replaced.
			if err == nil && semver.Compare(own, "v0.0.1-0") > 0 && semver.Compare(own, require.Mod.Version) < 0 {
				t.Errorf("%s has %s %s, the product has %s: run hack/cluster/align.sh", dir, require.Mod.Path, own, require.Mod.Version)
			}
		}
	}
}
