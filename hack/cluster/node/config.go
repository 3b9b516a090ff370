// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/pki"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.tmpl"))

// SandboxImage is the reference of the image that holds a pod's namespaces open.
const SandboxImage = "localhost/taskgroup-operator/pause:dev"

// Config is what a node's configuration files follow from.
type Config struct {
	Layout layout.Layout
	// Bin is the folder of the programs.
	Bin string
	// Block is the cluster's addresses.
	Block network.Block
	// Server is the API server's address for the node.
	Server string
}

// SandboxImage is for the templates.
func (c Config) SandboxImage() string { return SandboxImage }

// files maps a file below the cluster's configuration folder to its template.
var files = map[string]string{
	"containerd.toml":      "containerd.toml.tmpl",
	"cni/10-pods.conflist": "10-pods.conflist.tmpl",
	"kubelet.yaml":         "kubelet.yaml.tmpl",
	"kube-proxy.yaml":      "kube-proxy.yaml.tmpl",
	"Corefile":             "Corefile.tmpl",
	"root.zone":            "root.zone.tmpl",
}

func (c Config) render(templateName string) ([]byte, error) { return render(templateName, c) }

func render(templateName string, values any) ([]byte, error) {
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, templateName, values); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", templateName, err)
	}
	return text.Bytes(), nil
}

// writeFiles writes all configuration files and the node's kubeconfigs.
func (c Config) writeFiles() error {
	for _, dir := range []string{
		filepath.Join(c.Layout.Config(), "cni"), c.Layout.Containerd(), c.Layout.KubeletData(), c.Layout.Kubelet(), c.Layout.PodLogs(),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making a folder of the node: %w", err)
		}
	}
	for file, templateName := range files {
		text, err := c.render(templateName)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.Layout.Config(), file), text, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
	}
	// For pods with the dnsPolicy Default. An empty one would make resolvers query the machine itself.
	resolvConf := "nameserver " + network.NoDNS + "\n"
	if err := os.WriteFile(filepath.Join(c.Layout.Config(), "resolv.conf"), []byte(resolvConf), 0o644); err != nil {
		return fmt.Errorf("writing resolv.conf: %w", err)
	}
	for _, user := range []string{pki.Kubelet, pki.KubeProxy, pki.CoreDNS} {
		file := c.Layout.ComponentKubeconfig(user)
		if err := pki.WriteKubeconfig(file, c.Layout.Name, c.Server, c.Layout.PKI(), user); err != nil {
			return err
		}
	}
	return c.makeVolumes()
}
