// SPDX-License-Identifier: Apache-2.0

package build

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// upstream reports how the programs of one pinned module are built.
type upstream struct {
	// dir is the folder in hack/cluster/modules.
	dir string
	// module is the module whose version counts.
	module string
	// versionVariables are set to the version at link time, with trimV without its "v".
	versionVariables []string
	trimV            bool
	// tags are build tags.
	tags string
	// names renames a tool whose import path does not end in the name of the program.
	names map[string]string
	// subdir is the folder below bin that the programs go to.
	subdir string
	// sources are the Go files of a main package that is in the module's folder itself.
	sources []string
}

// kubernetesModule is the module that gives a cluster its version.
const kubernetesModule = "k8s.io/kubernetes"

// VersionVariable selects a release of Kubernetes, such as 1.34 or 1.34.4. Without it, the
// newest one is used.
const VersionVariable = "K8S_VERSION"

// kubernetesDir is the folder of the newest release in hack/cluster/modules. Those of the
// others have its name, a dash and their major and minor version.
const kubernetesDir = "kubernetes"

// upstreams is in the order in which a cluster needs them.
var upstreams = []upstream{
	{
		dir:    "etcd",
		module: "go.etcd.io/etcd/server/v3",
		names:  map[string]string{"v3": "etcd"},
	},
	{
		dir:    kubernetesDir,
		module: kubernetesModule,
		versionVariables: []string{
			"k8s.io/component-base/version.gitVersion",
			"k8s.io/client-go/pkg/version.gitVersion",
		},
	},
	{
		dir:              "containerd",
		module:           "github.com/containerd/containerd/v2",
		versionVariables: []string{"github.com/containerd/containerd/v2/version.Version"},
		trimV:            true,
		// These snapshotters need C libraries or devices that the cluster does not use.
		tags: "no_btrfs no_devmapper no_zfs",
	},
	{
		dir:              "cni",
		module:           "github.com/containernetworking/plugins",
		versionVariables: []string{"github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion"},
		subdir:           "cni",
	},
	{
		dir:     "coredns",
		module:  "github.com/coredns/coredns",
		sources: []string{"main.go"},
	},
}

// s3Server is the server that the tests of the stores use; a cluster needs none.
var s3Server = upstream{dir: "s3", module: "github.com/versity/versitygw", versionVariables: []string{"main.Version"}}

// kwok plays the nodes of the benchmarks; a cluster does not need it.
var kwok = upstream{dir: "kwok", module: "sigs.k8s.io/kwok", versionVariables: []string{"sigs.k8s.io/kwok/pkg/consts.Version"}}

// kueue is the queueing system that the tests of queues install; a cluster does not
// need it.
var kueue = upstream{
	dir:              "kueue",
	module:           "sigs.k8s.io/kueue",
	versionVariables: []string{"sigs.k8s.io/kueue/pkg/version.GitVersion"},
}

// controlPlane holds the programs that a cluster without a node needs.
var controlPlane = map[string]bool{
	"etcd": true, "kube-apiserver": true, "kube-controller-manager": true, "kube-scheduler": true, "kubectl": true,
}

// Target is one program to build.
type Target struct {
	// Name is the program's file name.
	Name string
	// Subdir is the folder below bin that it goes to, empty for bin itself.
	Subdir string
	// ModuleDir is the folder of the module that pins it.
	ModuleDir string
	// Package is its import path.
	Package string
	// LDFlags and Tags are handed to the linker and the compiler.
	LDFlags, Tags string
	// Sources are the files that a program is built from. The default is go.mod and
	// go.sum, which are enough for a program of another module.
	Sources []string
}

// Targets reads the pinned modules below modulesDir and lists what to build.
func Targets(modulesDir string, controlPlaneOnly bool) ([]Target, error) {
	var targets []Target
	for _, up := range upstreams {
		if up.dir == kubernetesDir {
			var err error
			if up.dir, err = releaseDir(modulesDir); err != nil {
				return nil, err
			}
		}
		all, err := up.targets(modulesDir)
		if err != nil {
			return nil, err
		}
		for _, target := range all {
			if !controlPlaneOnly || controlPlane[target.Name] {
				targets = append(targets, target)
			}
		}
	}
	return targets, nil
}

// S3Targets lists what a server for s3:// is built from.
func S3Targets(modulesDir string) ([]Target, error) { return s3Server.targets(modulesDir) }

// KwokTargets lists the programs that play the nodes of the benchmarks.
func KwokTargets(modulesDir string) ([]Target, error) { return kwok.targets(modulesDir) }

// KueueTargets lists the programs of Kueue.
func KueueTargets(modulesDir string) ([]Target, error) { return kueue.targets(modulesDir) }

// targets reads a pinned module and lists its programs.
func (up upstream) targets(modulesDir string) ([]Target, error) {
	file, err := parseModule(filepath.Join(modulesDir, up.dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	version, err := requiredVersion(file, up.module)
	if err != nil {
		return nil, err
	}
	targets := make([]Target, 0, len(file.Tool))
	for _, tool := range file.Tool {
		targets = append(targets, up.target(modulesDir, tool.Path, version))
	}
	return targets, nil
}

// PauseTarget is the program of the sandbox containers, part of this module.
func PauseTarget(hackDir string) Target {
	return Target{
		Name:      "pause",
		ModuleDir: hackDir,
		Package:   "./cluster/pause",
		LDFlags:   "-s -w",
		Sources:   []string{filepath.Join(hackDir, "cluster", "pause", "main.go")},
	}
}

// KubernetesVersion reads the version of Kubernetes that VersionVariable selects, such as
// "v1.37.2"; with AssetsVariable, that of the API server there.
func KubernetesVersion(modulesDir string) (string, error) {
	if assets := os.Getenv(AssetsVariable); assets != "" {
		return assetsVersion(assets)
	}
	dir, err := releaseDir(modulesDir)
	if err != nil {
		return "", err
	}
	return versionIn(modulesDir, dir)
}

// releaseDir returns the folder of the release that the environment selects.
func releaseDir(modulesDir string) (string, error) {
	wanted, err := release()
	if err != nil {
		return "", err
	}
	return selected(modulesDir, wanted)
}

func versionIn(modulesDir, dir string) (string, error) {
	file, err := parseModule(filepath.Join(modulesDir, dir, "go.mod"))
	if err != nil {
		return "", err
	}
	return requiredVersion(file, kubernetesModule)
}

// selected returns the folder of a release: the newest one if wanted is empty, or else the
// one whose version is wanted, or whose major and minor version are.
func selected(modulesDir, wanted string) (string, error) {
	if wanted == "" {
		return kubernetesDir, nil
	}
	folders, err := filepath.Glob(filepath.Join(modulesDir, kubernetesDir+"*"))
	if err != nil {
		return "", fmt.Errorf("looking for the releases of Kubernetes: %w", err)
	}
	var known []string
	for _, folder := range folders {
		dir := filepath.Base(folder)
		version, err := versionIn(modulesDir, dir)
		if err != nil {
			return "", err
		}
		if wanted = "v" + strings.TrimPrefix(wanted, "v"); wanted == version || wanted == semver.MajorMinor(version) {
			return dir, nil
		}
		known = append(known, strings.TrimPrefix(version, "v"))
	}
	return "", fmt.Errorf("%s=%s: the releases of Kubernetes are %s; hack/cluster/README.md describes how to add one", VersionVariable, strings.TrimPrefix(wanted, "v"), strings.Join(known, ", "))
}

func (up upstream) target(modulesDir, pkg, version string) Target {
	name := path.Base(pkg)
	if renamed, ok := up.names[name]; ok {
		name = renamed
	}
	if up.trimV {
		version = strings.TrimPrefix(version, "v")
	}
	ldflags := []string{"-s", "-w"}
	for _, variable := range up.versionVariables {
		ldflags = append(ldflags, "-X", variable+"="+version)
	}
	target := Target{
		Name:      name,
		Subdir:    up.subdir,
		ModuleDir: filepath.Join(modulesDir, up.dir),
		Package:   pkg,
		LDFlags:   strings.Join(ldflags, " "),
		Tags:      up.tags,
	}
	if len(up.sources) > 0 {
		for _, file := range append([]string{"go.mod", "go.sum"}, up.sources...) {
			target.Sources = append(target.Sources, filepath.Join(target.ModuleDir, file))
		}
	}
	return target
}

func parseModule(file string) (*modfile.File, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading a pinned module: %w", err)
	}
	parsed, err := modfile.Parse(file, data, nil)
	if err != nil {
		return nil, fmt.Errorf("parsing a pinned module: %w", err)
	}
	return parsed, nil
}

func requiredVersion(file *modfile.File, module string) (string, error) {
	for _, require := range file.Require {
		if require.Mod.Path == module {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("reading the version of %s: %s does not require it", module, file.Syntax.Name)
}
