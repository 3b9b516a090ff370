// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Request reports what a cluster's certificates must be good for.
type Request struct {
	// NodeName is empty for a cluster without a node.
	NodeName string
	// APIServerIPs are all addresses that clients use for the API server.
	APIServerIPs []net.IP
	// NodeIPs are the addresses of the node.
	NodeIPs []net.IP
	Now     time.Time
}

// Files of the certificates, below the cluster's PKI folder. Each has a .crt and a .key.
const (
	AuthorityFile = "ca"
	APIServer     = "apiserver"
	KubeletClient = "apiserver-kubelet-client"
	Etcd          = "etcd"
	Admin         = "admin"
	Manager       = "kube-controller-manager"
	Scheduler     = "kube-scheduler"
	Kubelet       = "kubelet"
	KubeProxy     = "kube-proxy"
	CoreDNS       = "coredns"
	// ServiceAccounts is a plain key pair; its .crt is a public key.
	ServiceAccounts = "service-accounts"
	// FrontProxyAuthority signs only FrontProxy, the certificate by which the
	// API server speaks for others to aggregated APIs. Were it the cluster's
	// authority, every client could do that.
	FrontProxyAuthority = "front-proxy-ca"
	FrontProxy          = "front-proxy-client"
)

// Subjects lists whom a cluster has certificates for, by file.
func Subjects(request Request) map[string]Subject {
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	subjects := map[string]Subject{
		APIServer: {
			User: "kube-apiserver",
			DNSNames: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			},
			IPs: request.APIServerIPs,
		},
		// The API server, etcd's only client, calls with etcd's own certificate.
		Etcd: {User: "etcd", DNSNames: []string{"localhost"}, IPs: loopback},
		// The kubelet requests from the API server what this user may do; masters may do all.
		KubeletClient: {User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		Admin:         {User: "kubernetes-admin", Groups: []string{"system:masters"}},
		Manager:       {User: "system:kube-controller-manager"},
		Scheduler:     {User: "system:kube-scheduler"},
	}
	if request.NodeName != "" {
		// One certificate to call the API server with, and to serve logs and exec.
		subjects[Kubelet] = Subject{
			User: "system:node:" + request.NodeName, Groups: []string{"system:nodes"},
			DNSNames: []string{request.NodeName}, IPs: request.NodeIPs,
		}
		subjects[KubeProxy] = Subject{User: "system:kube-proxy"}
		subjects[CoreDNS] = Subject{User: "system:coredns"}
	}
	return subjects
}

// Write makes all certificates and keys of a cluster in dir.
func Write(dir string, request Request) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of certificates: %w", err)
	}
	authority, err := NewAuthority("taskgroup-cluster", request.Now)
	if err != nil {
		return err
	}
	if err := writePair(dir, AuthorityFile, Pair{authority.CertPEM, authority.KeyPEM}); err != nil {
		return err
	}
	for file, subject := range Subjects(request) {
		pair, err := authority.Issue(subject)
		if err != nil {
			return err
		}
		if err := writePair(dir, file, pair); err != nil {
			return err
		}
	}
	if err := writeFrontProxy(dir, request.Now); err != nil {
		return err
	}
	private, public, err := NewSigningKey()
	if err != nil {
		return err
	}
	return writePair(dir, ServiceAccounts, Pair{public, private})
}

func writeFrontProxy(dir string, now time.Time) error {
	authority, err := NewAuthority(FrontProxyAuthority, now)
	if err != nil {
		return err
	}
	if err := writePair(dir, FrontProxyAuthority, Pair{authority.CertPEM, authority.KeyPEM}); err != nil {
		return err
	}
	client, err := authority.Issue(Subject{User: FrontProxy})
	if err != nil {
		return err
	}
	return writePair(dir, FrontProxy, client)
}

// CertFile names the file of a certificate.
func CertFile(dir, name string) string { return filepath.Join(dir, name+".crt") }

// KeyFile names the file of a certificate's key.
func KeyFile(dir, name string) string { return filepath.Join(dir, name+".key") }

func writePair(dir, name string, pair Pair) error {
	if err := os.WriteFile(CertFile(dir, name), pair.CertPEM, 0o644); err != nil {
		return fmt.Errorf("writing the certificate %s: %w", name, err)
	}
	if err := os.WriteFile(KeyFile(dir, name), pair.KeyPEM, 0o600); err != nil {
		return fmt.Errorf("writing the key of %s: %w", name, err)
	}
	return nil
}
