// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"testing"
)

func TestClusterDomain(t *testing.T) {
	cases := map[string]struct{ configuration, want string }{
		"a pod": {
			"search team-a.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\noptions ndots:5\n", "cluster.local",
		},
		"another domain, absolute":    {"nameserver 10.0.0.1\nsearch team-a.svc.k8s.example.com. svc.k8s.example.com. k8s.example.com.\n", "k8s.example.com"},
		"a pod of the node's network": {"search example.com\nnameserver 192.0.2.1\n", ""},
		"two lines":                   {"search a.svc.old svc.old old\nsearch a.svc.new svc.new new\n", "new"},
		"a namespace named svc":       {"search svc.svc.cluster.local svc.cluster.local cluster.local\n", "cluster.local"},
		"nothing":                     {"search\n", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := clusterDomain(strings.NewReader(tc.configuration)); got != tc.want {
				t.Errorf("domain %q, want %q", got, tc.want)
			}
		})
	}
}
