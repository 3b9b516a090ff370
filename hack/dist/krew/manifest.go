// SPDX-License-Identifier: Apache-2.0

package krew

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// Archive is the archive of a platform.
type Archive struct {
	OS, Arch, URL, SHA256 string
	// Program is the path of the program in the archive.
	Program string
}

// manifest is the API type Plugin of krew. The module of krew requires versions of
// Kubernetes' modules that cannot be used together with current ones.
type manifest struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       spec              `json:"spec"`
}

type spec struct {
	Version          string     `json:"version"`
	Homepage         string     `json:"homepage"`
	ShortDescription string     `json:"shortDescription"`
	Description      string     `json:"description"`
	Platforms        []platform `json:"platforms"`
}

type platform struct {
	Selector map[string]map[string]string `json:"selector"`
	URI      string                       `json:"uri"`
	SHA256   string                       `json:"sha256"`
	Bin      string                       `json:"bin"`
}

// Manifest returns the manifest of a version, such as v0.2.0.
func Manifest(version string, archives []Archive) ([]byte, error) {
	plugin := manifest{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Metadata: map[string]string{"name": "taskgroup"},
		Spec: spec{
			Version: version, Homepage: "https://github.com/taskgroup-operator/taskgroup-operator",
			ShortDescription: "Run and watch TaskGroups of Covalent",
			Description:      "Submits, lists, watches, cancels and debugs TaskGroups: groups of Covalent's\nfunctions, or plain commands, that the TaskGroup operator runs as Jobs.\n",
		},
	}
	for _, archive := range archives {
		plugin.Spec.Platforms = append(plugin.Spec.Platforms, platform{
			Selector: map[string]map[string]string{"matchLabels": {"os": archive.OS, "arch": archive.Arch}},
			URI:      archive.URL, SHA256: archive.SHA256, Bin: archive.Program,
		})
	}
	raw, err := yaml.Marshal(plugin)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest of krew: %w", err)
	}
	return raw, nil
}
