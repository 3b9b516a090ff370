// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func request() Request {
	return Request{
		NodeName:     "a",
		APIServerIPs: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("10.96.0.1"), net.ParseIP("10.214.1.1")},
		NodeIPs:      []net.IP{net.ParseIP("10.214.1.2")},
		Now:          time.Now(),
	}
}

func readCert(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestServingCertificatesAreGoodForEveryWayIn(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, request()); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(readCert(t, CertFile(dir, AuthorityFile)))
	tests := map[string]struct {
		file string
		host string
		good bool
	}{
		"people on this machine":        {APIServer, "127.0.0.1", true},
		"the node":                      {APIServer, "10.214.1.1", true},
		"pods, by service address":      {APIServer, "10.96.0.1", true},
		"pods, by service name":         {APIServer, "kubernetes.default.svc", true},
		"an address of somebody else":   {APIServer, "10.214.1.9", false},
		"the API server to the kubelet": {Kubelet, "10.214.1.2", true},
		"the API server to etcd":        {Etcd, "127.0.0.1", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := readCert(t, CertFile(dir, test.file)).Verify(x509.VerifyOptions{
				DNSName: test.host, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if (err == nil) != test.good {
				t.Errorf("verifying %s for %s: %v, want good: %v", test.file, test.host, err, test.good)
			}
		})
	}
}

func TestClientCertificatesNameTheirUser(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, request()); err != nil {
		t.Fatal(err)
	}
	kubelet := readCert(t, CertFile(dir, Kubelet)).Subject
	if kubelet.CommonName != "system:node:a" || strings.Join(kubelet.Organization, ",") != "system:nodes" {
		t.Errorf("the kubelet is %s, want system:node:a in system:nodes", kubelet)
	}
	if _, err := tls.LoadX509KeyPair(CertFile(dir, Admin), KeyFile(dir, Admin)); err != nil {
		t.Errorf("the admin's key does not fit its certificate: %v", err)
	}
	if info, err := os.Stat(KeyFile(dir, Admin)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin's key: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestAClusterWithoutANodeHasNoNodeCertificates(t *testing.T) {
	subjects := Subjects(Request{})
	for _, name := range []string{Kubelet, KubeProxy, CoreDNS} {
		if _, ok := subjects[name]; ok {
			t.Errorf("there is a certificate for %s", name)
		}
	}
}

func TestWriteKubeconfigHasEverythingInItself(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, request()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kubeconfig")
	if err := WriteKubeconfig(file, "a", "https://127.0.0.1:20000", dir, Admin); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), dir) || !strings.Contains(string(text), "server: https://127.0.0.1:20000\n") {
		t.Errorf("kubeconfig:\n%s\nwant the server and no path", text)
	}
}
