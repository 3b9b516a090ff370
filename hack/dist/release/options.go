// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Options are the settings of a build.
type Options struct {
	// Root is the checkout, and Output the folder of the release, which is replaced.
	Root, Output string
	// Version is a semantic version, without the letter v.
	Version string
	// Registry is the prefix of the images, such as registry.example.com/taskgroup-operator.
	Registry string
	// Platforms are built, such as linux/amd64; all of them if there are none. A release
	// of some platforms is for a try.
	Platforms []string
	// DownloadURL is the address that the archives will have.
	DownloadURL string
	// Commit is the commit of the sources, and Created its time.
	Commit  string
	Created time.Time
	// Build compiles a program, and Wheels writes the wheels of the plugin into a folder.
	// Tests replace them.
	Build  Builder
	Wheels WheelBuilder
	// Report is called before each step.
	Report func(step string)
}

// Tag is the tag in Git and of the images.
func (o *Options) Tag() string { return "v" + o.Version }

// Validate names every setting that cannot work.
func (o *Options) Validate() error {
	var errs []error
	if !semver.IsValid(o.Tag()) || semver.Canonical(o.Tag()) != o.Tag() {
		errs = append(errs, fmt.Errorf("the version is %q, want one such as 0.2.0 or 0.2.0-rc.1", o.Version))
	} else if _, err := pythonVersion(o.Version); err != nil {
		errs = append(errs, err)
	}
	if o.Registry == "" || strings.HasSuffix(o.Registry, "/") {
		errs = append(errs, fmt.Errorf("the registry is %q, want one such as registry.example.com/taskgroup-operator", o.Registry))
	}
	for _, platform := range o.Platforms {
		if len(targets([]string{platform})) == 0 {
			errs = append(errs, fmt.Errorf("nothing is built for the platform %q; one is linux/amd64", platform))
		}
	}
	if o.Commit == "" || o.Created.IsZero() {
		errs = append(errs, errors.New("the commit and its time are required"))
	}
	return errors.Join(errs...)
}

var prerelease = regexp.MustCompile(`^(\d+\.\d+\.\d+)-(alpha|beta|rc)\.(\d+)$`)

// pythonVersion returns the version of the wheels (PEP 440).
func pythonVersion(version string) (string, error) {
	if !strings.Contains(version, "-") {
		return version, nil
	}
	parts := prerelease.FindStringSubmatch(version)
	if parts == nil {
		return "", fmt.Errorf("the version %s cannot be one of Python: want 0.2.0, 0.2.0-alpha.1, 0.2.0-beta.1 or 0.2.0-rc.1", version)
	}
	return parts[1] + map[string]string{"alpha": "a", "beta": "b", "rc": "rc"}[parts[2]] + parts[3], nil
}
