// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"text/template"
)

var kubeconfigTemplate = template.Must(template.New("kubeconfig").Parse(`apiVersion: v1
kind: Config
clusters:
- name: {{.Cluster}}
  cluster:
    server: {{.Server}}
    certificate-authority-data: {{.CA}}
users:
- name: {{.User}}
  user:
    client-certificate-data: {{.Cert}}
    client-key-data: {{.Key}}
contexts:
- name: {{.Cluster}}
  context:
    cluster: {{.Cluster}}
    user: {{.User}}
current-context: {{.Cluster}}
`))

// WriteKubeconfig writes a kubeconfig that has everything in itself, so that it
// can be copied anywhere.
func WriteKubeconfig(file, cluster, server, dir, user string) error {
	values := map[string]string{"Cluster": cluster, "Server": server, "User": user}
	for key, source := range map[string]string{
		"CA":   CertFile(dir, AuthorityFile),
		"Cert": CertFile(dir, user),
		"Key":  KeyFile(dir, user),
	} {
		data, err := os.ReadFile(source)
		if err != nil {
			return fmt.Errorf("reading what goes into a kubeconfig: %w", err)
		}
		values[key] = base64.StdEncoding.EncodeToString(data)
	}
	var text bytes.Buffer
	if err := kubeconfigTemplate.Execute(&text, values); err != nil {
		return fmt.Errorf("rendering the kubeconfig of %s: %w", user, err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", user, err)
	}
	return nil
}
