// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"net/netip"
	"slices"
)

// Services is the range of service addresses. It exists only inside a node's
// network namespace, so all clusters can use the same one.
const (
	Services = "10.96.0.0/16"
	// FirstService is the address of the service "kubernetes".
	FirstService = "10.96.0.1"
	// NoDNS is the name server of pods that do not use the cluster's DNS. Nothing
	// listens there: no server outside of the cluster can be reached.
	NoDNS = "10.96.0.10"
)

// pool is where the clusters' addresses come from, in blocks of blockBits.
var pool = netip.MustParsePrefix("10.214.0.0/16")

const blockBits = 23

// Block is the addresses of one cluster: the pods' in its lower half, those of
// the veth pair at the start of its upper half.
type Block struct {
	Prefix netip.Prefix `json:"prefix"`
}

// Pods is the range of pod addresses.
func (b Block) Pods() netip.Prefix { return netip.PrefixFrom(b.Prefix.Addr(), 24) }

// Link is the range of the veth pair.
func (b Block) Link() netip.Prefix { return netip.PrefixFrom(b.upper(0), 30) }

// Host is the host's end of the veth pair: what the node and the pods call the
// API server by.
func (b Block) Host() netip.Addr { return b.upper(1) }

// Node is the node's address.
func (b Block) Node() netip.Addr { return b.upper(2) }

func (b Block) upper(last byte) netip.Addr {
	octets := b.Prefix.Addr().As4()
	octets[2]++
	octets[3] = last
	return netip.AddrFrom4(octets)
}

// freeBlock returns the first block that overlaps none of the used ranges.
func freeBlock(used []netip.Prefix) (Block, error) {
	octets := pool.Addr().As4()
	for third := 0; third < 256; third += 1 << (24 - blockBits) {
		octets[2] = byte(third)
		block := Block{Prefix: netip.PrefixFrom(netip.AddrFrom4(octets), blockBits)}
		if !overlapsAny(block.Prefix, used) {
			return block, nil
		}
	}
	return Block{}, errors.New("choosing addresses: all of " + pool.String() + " is in use; end clusters that are not needed with \"cluster down\"")
}

func overlapsAny(prefix netip.Prefix, used []netip.Prefix) bool {
	return slices.ContainsFunc(used, prefix.Overlaps)
}
