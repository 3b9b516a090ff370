// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

func testConfig() Config {
	return Config{
		Layout: layout.Layout{Name: "a", Dir: "/repo/.cluster/a", Short: "0a1b2c3d"},
		Ports:  Ports{EtcdClient: 20001, EtcdPeer: 20002, EtcdMetrics: 20003, APIServer: 20004, Manager: 20005, Scheduler: 20006},
	}
}

func TestWithoutANodeEverythingListensOnLoopback(t *testing.T) {
	c := testConfig()
	for component, flags := range map[string][]string{
		"etcd": c.etcdFlags(), "kube-apiserver": c.apiServerFlags(),
		"kube-controller-manager": c.managerFlags(), "kube-scheduler": c.schedulerFlags(),
	} {
		for _, flag := range flags {
			name, value, _ := strings.Cut(flag, "=")
			listens := name == "--bind-address" || strings.HasPrefix(name, "--listen-")
			if listens && !strings.Contains(value, "127.0.0.1") {
				t.Errorf("%s has %s, want loopback", component, flag)
			}
		}
	}
	if !slices.Contains(c.apiServerFlags(), "--bind-address=127.0.0.1") {
		t.Error("the API server does not say where it listens")
	}
}

func TestWithANodeTheAPIServerIsWhereTheNodeLooks(t *testing.T) {
	c := testConfig()
	c.Host = netip.MustParseAddr("10.214.1.1")
	if !slices.Contains(c.apiServerFlags(), "--advertise-address=10.214.1.1") {
		t.Errorf("flags %q do not advertise the host's end of the link", c.apiServerFlags())
	}
	if got, want := c.NodeServer(), "https://10.214.1.1:20004"; got != want {
		t.Errorf("NodeServer = %s, want %s", got, want)
	}
	if got, want := c.LocalServer(), "https://127.0.0.1:20004"; got != want {
		t.Errorf("LocalServer = %s, want %s", got, want)
	}
}

func TestExtraArgumentsComeLastAndSoWin(t *testing.T) {
	c := testConfig()
	c.ExtraAPIServerArgs = []string{"authorization-mode=AlwaysAllow"}
	c.ExtraManagerArgs = []string{"kube-api-qps=1000", "kube-api-burst=2000"}
	if got := c.apiServerFlags(); got[len(got)-1] != "--authorization-mode=AlwaysAllow" {
		t.Errorf("the API server's last flag is %s", got[len(got)-1])
	}
	got := c.managerFlags()
	if tail := strings.Join(got[len(got)-2:], " "); tail != "--kube-api-qps=1000 --kube-api-burst=2000" {
		t.Errorf("the controller manager's last flags are %s", tail)
	}
	c.ExtraSchedulerArgs = []string{"kube-api-qps=500"}
	if got := c.schedulerFlags(); got[len(got)-1] != "--kube-api-qps=500" {
		t.Errorf("the scheduler's last flag is %s", got[len(got)-1])
	}
	c.ExtraManagerArgs = nil
	if strings.Contains(strings.Join(c.managerFlags(), " "), "kube-api-qps") {
		t.Error("the controller manager's limits are not the stock ones")
	}
}

func TestAuditFlagsOnlyWhenAskedFor(t *testing.T) {
	c := testConfig()
	if strings.Contains(strings.Join(c.apiServerFlags(), " "), "--audit") {
		t.Error("there are audit flags, want none")
	}
	c.Audit = true
	if !slices.Contains(c.apiServerFlags(), "--audit-log-path=/repo/.cluster/a/audit.log") {
		t.Errorf("flags %q have no audit log", c.apiServerFlags())
	}
}
