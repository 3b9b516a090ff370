// SPDX-License-Identifier: Apache-2.0

package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func prefixes(texts ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, text := range texts {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

func TestFreeBlock(t *testing.T) {
	tests := map[string]struct {
		used    []netip.Prefix
		want    string
		wantErr bool
	}{
		"nothing is used":                      {nil, "10.214.0.0/23", false},
		"other networks do not matter":         {prefixes("192.0.2.0/24", "10.96.0.0/16"), "10.214.0.0/23", false},
		"a cluster has the first block":        {prefixes("10.214.0.0/24", "10.214.1.0/30"), "10.214.2.0/23", false},
		"only its veth is left of a cluster":   {prefixes("10.214.1.0/30"), "10.214.2.0/23", false},
		"a single address is in the way":       {prefixes("10.214.1.77/32"), "10.214.2.0/23", false},
		"a gap between clusters is filled":     {prefixes("10.214.0.0/23", "10.214.4.0/23"), "10.214.2.0/23", false},
		"a wide private network covers it all": {prefixes("10.0.0.0/8"), "", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := freeBlock(test.used)
			if (err != nil) != test.wantErr {
				t.Fatalf("freeBlock: %v, want error: %v", err, test.wantErr)
			}
			if err == nil && got.Prefix.String() != test.want {
				t.Errorf("freeBlock = %s, want %s", got.Prefix, test.want)
			}
		})
	}
}

func TestBlockHasRoomForAllItsAddresses(t *testing.T) {
	block := Block{Prefix: netip.MustParsePrefix("10.214.6.0/23")}
	got := []string{block.Pods().String(), block.Link().String(), block.Host().String(), block.Node().String()}
	want := []string{"10.214.6.0/24", "10.214.7.0/30", "10.214.7.1", "10.214.7.2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestParseRoutes(t *testing.T) {
	got, err := parseRoutes([]byte(`[{"dst":"default","gateway":"192.0.2.1"},{"dst":"192.0.2.0/24"},{"type":"local","dst":"127.0.0.1"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(prefixes("192.0.2.0/24", "127.0.0.1/32"), got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("parseRoutes (-want +got):\n%s", diff)
	}
}

func TestFreePortsAreDifferent(t *testing.T) {
	ports, err := FreePorts(8)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d was given twice", port)
		}
		seen[port] = true
	}
}
