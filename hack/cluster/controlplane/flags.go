// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/pki"
)

func (c Config) cert(name string) string { return pki.CertFile(c.Layout.PKI(), name) }
func (c Config) key(name string) string  { return pki.KeyFile(c.Layout.PKI(), name) }

func (c Config) etcdURL() string { return fmt.Sprintf("https://127.0.0.1:%d", c.Ports.EtcdClient) }

// etcdFlags keep etcd on loopback, and behind certificates, since a process that can
// write to it owns the node.
func (c Config) etcdFlags() []string {
	peer := fmt.Sprintf("http://127.0.0.1:%d", c.Ports.EtcdPeer)
	return []string{
		"--name=" + c.Layout.Name,
		"--data-dir=" + c.Layout.Etcd(),
		"--listen-client-urls=" + c.etcdURL(),
		"--advertise-client-urls=" + c.etcdURL(),
		"--cert-file=" + c.cert(pki.Etcd),
		"--key-file=" + c.key(pki.Etcd),
		"--client-cert-auth=true",
		"--trusted-ca-file=" + c.cert(pki.AuthorityFile),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		fmt.Sprintf("--initial-cluster=%s=%s", c.Layout.Name, peer),
		"--listen-metrics-urls=" + c.EtcdMetrics(),
		// A cluster for tests need not survive a power cut, and waiting for the
		// disk is most of what a write costs on a small machine.
		"--unsafe-no-fsync=true",
	}
}

func (c Config) apiServerFlags() []string {
	flags := []string{
		"--etcd-servers=" + c.etcdURL(),
		"--etcd-cafile=" + c.cert(pki.AuthorityFile),
		"--etcd-certfile=" + c.cert(pki.Etcd),
		"--etcd-keyfile=" + c.key(pki.Etcd),
		fmt.Sprintf("--secure-port=%d", c.Ports.APIServer),
		"--service-cluster-ip-range=" + network.Services,
		"--tls-cert-file=" + c.cert(pki.APIServer),
		"--tls-private-key-file=" + c.key(pki.APIServer),
		"--client-ca-file=" + c.cert(pki.AuthorityFile),
		"--requestheader-client-ca-file=" + c.cert(pki.FrontProxyAuthority),
		"--requestheader-allowed-names=" + pki.FrontProxy,
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + c.cert(pki.FrontProxy),
		"--proxy-client-key-file=" + c.key(pki.FrontProxy),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.cert(pki.ServiceAccounts),
		"--service-account-signing-key-file=" + c.key(pki.ServiceAccounts),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
	}
	flags = append(flags, c.addressFlags()...)
	if c.Audit {
		flags = append(flags,
			"--audit-policy-file="+c.auditPolicyFile(),
			"--audit-log-path="+c.Layout.AuditLog(),
			// One file, whatever its size in megabytes: who measures wants all of it.
			"--audit-log-maxsize=100000",
		)
	}
	return append(flags, extra(c.ExtraAPIServerArgs)...)
}

// addressFlags report where the API server listens and how it reaches the node.
func (c Config) addressFlags() []string {
	if !c.hasNode() {
		return []string{
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1",
			// A loopback address is refused as an endpoint of the service "kubernetes".
			"--endpoint-reconciler-type=none",
		}
	}
	return []string{
		// People come by loopback, the node by its veth: there is no address
		// that covers just these two.
		"--bind-address=0.0.0.0",
		"--advertise-address=" + c.Host.String(),
		"--kubelet-certificate-authority=" + c.cert(pki.AuthorityFile),
		"--kubelet-client-certificate=" + c.cert(pki.KubeletClient),
		"--kubelet-client-key=" + c.key(pki.KubeletClient),
		// Node names are in no DNS.
		"--kubelet-preferred-address-types=InternalIP",
		// Service addresses lead nowhere on the host; the pods' own do, so
		// webhooks and aggregated APIs that run in the cluster can be called.
		"--enable-aggregator-routing=true",
	}
}

// managerFlags leave the client's limits and the number of workers as they come.
func (c Config) managerFlags() []string {
	kubeconfig := c.Layout.ComponentKubeconfig(pki.Manager)
	flags := []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.Ports.Manager),
		"--cert-dir=" + filepath.Join(c.Layout.Config(), pki.Manager),
		"--root-ca-file=" + c.cert(pki.AuthorityFile),
		"--cluster-signing-cert-file=" + c.cert(pki.AuthorityFile),
		"--cluster-signing-key-file=" + c.key(pki.AuthorityFile),
		"--service-account-private-key-file=" + c.key(pki.ServiceAccounts),
		"--use-service-account-credentials=true",
		// There is only one; being elected would only delay it.
		"--leader-elect=false",
	}
	return append(flags, extra(c.ExtraManagerArgs)...)
}

func (c Config) schedulerFlags() []string {
	kubeconfig := c.Layout.ComponentKubeconfig(pki.Scheduler)
	flags := []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.Ports.Scheduler),
		"--cert-dir=" + filepath.Join(c.Layout.Config(), pki.Scheduler),
		"--leader-elect=false",
	}
	return append(flags, extra(c.ExtraSchedulerArgs)...)
}

func (c Config) auditPolicyFile() string {
	return filepath.Join(c.Layout.Config(), "audit-policy.yaml")
}
