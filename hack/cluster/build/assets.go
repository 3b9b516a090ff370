// SPDX-License-Identifier: Apache-2.0

package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// AssetsVariable is the folder of programs that are used instead of being built, as
// envtest of controller-runtime has it: etcd, kube-apiserver and kubectl. What the folder
// does not have, such as the controller manager, is built for the version of its API server.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// release returns which release of Kubernetes is wanted; empty for the newest one.
func release() (string, error) {
	wanted, assets := os.Getenv(VersionVariable), os.Getenv(AssetsVariable)
	if assets == "" {
		return wanted, nil
	}
	version, err := assetsVersion(assets)
	if err != nil {
		return "", err
	}
	minor := semver.MajorMinor(version)
	if wanted = "v" + strings.TrimPrefix(wanted, "v"); wanted != "v" && semver.MajorMinor(wanted) != minor {
		return "", fmt.Errorf("%s=%s has Kubernetes %s, and %s is %s: unset one of them", AssetsVariable, assets, version, VersionVariable, strings.TrimPrefix(wanted, "v"))
	}
	return minor, nil
}

// assetsVersion returns the version of the API server in a folder, such as v1.36.0.
func assetsVersion(assets string) (string, error) {
	out, err := exec.Command(filepath.Join(assets, "kube-apiserver"), "--version").Output()
	version := strings.TrimPrefix(strings.TrimSpace(string(out)), "Kubernetes ")
	if err == nil && !semver.IsValid(version) {
		err = fmt.Errorf("its version is %q", version)
	}
	if err != nil {
		return "", fmt.Errorf("%s=%s: running the kube-apiserver there: %w", AssetsVariable, assets, err)
	}
	return version, nil
}

// assetsName returns the name of the folder for what is built beside assets; empty
// without assets.
func assetsName() string {
	assets := os.Getenv(AssetsVariable)
	if assets == "" {
		return ""
	}
	digest := sha256.Sum256([]byte(assets))
	return "assets-" + hex.EncodeToString(digest[:4])
}

// useAsset links a program of the assets to its place. It reports whether there is one.
func (b Builder) useAsset(target Target) (bool, error) {
	assets := os.Getenv(AssetsVariable)
	if assets == "" || target.Subdir != "" {
		return false, nil
	}
	program, err := filepath.Abs(filepath.Join(assets, target.Name))
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("looking for %s: %w", target.Name, err)
	}
	path := b.Path(target)
	if linked, err := os.Readlink(path); err == nil && linked == program {
		return true, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("making the folder of %s: %w", target.Name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("replacing %s: %w", target.Name, err)
	}
	if err := os.Symlink(program, path); err != nil {
		return false, fmt.Errorf("linking %s: %w", target.Name, err)
	}
	return true, nil
}
