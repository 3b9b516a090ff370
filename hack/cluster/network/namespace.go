// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

// Create makes the node's network namespace and connects it to the host. It
// returns the addresses that the cluster got.
func Create(ctx context.Context, l layout.Layout) (Block, error) {
	// Another cluster must not choose the same block before our routes show.
	unlock, err := layout.Lock(layout.RunRoot)
	if err != nil {
		return Block{}, err
	}
	defer unlock()
	used, err := usedPrefixes(ctx)
	if err != nil {
		return Block{}, err
	}
	block, err := freeBlock(used)
	if err != nil {
		return Block{}, err
	}
	for _, args := range createCommands(l, block) {
		if _, err := ip(ctx, args...); err != nil {
			return Block{}, fmt.Errorf("making the network of the node: %w", err)
		}
	}
	return block, nil
}

func createCommands(l layout.Layout, block Block) [][]string {
	bits := fmt.Sprintf("/%d", block.Link().Bits())
	host, node := block.Host().String(), block.Node().String()
	return [][]string{
		{"netns", "add", l.Netns()},
		{"link", "add", l.HostLink(), "type", "veth", "peer", "name", "eth0", "netns", l.Netns()},
		{"address", "add", host + bits, "dev", l.HostLink()},
		{"link", "set", l.HostLink(), "up"},
		{"-n", l.Netns(), "link", "set", "lo", "up"},
		{"-n", l.Netns(), "address", "add", node + bits, "dev", "eth0"},
		{"-n", l.Netns(), "link", "set", "eth0", "up"},
		{"-n", l.Netns(), "route", "add", "default", "via", host},
		{"route", "add", block.Pods().String(), "via", node, "dev", l.HostLink()},
	}
}

// Remove removes the namespace and the veth pair; missing ones are no error.
func Remove(ctx context.Context, l layout.Layout) error {
	// Removing the host's end first takes its routes away at once; a namespace
	// lives on until the last process in it is collected.
	if _, err := net.InterfaceByName(l.HostLink()); err == nil {
		if _, err := ip(ctx, "link", "delete", l.HostLink()); err != nil {
			return fmt.Errorf("removing the network of the node: %w", err)
		}
	}
	if _, err := os.Stat(l.NetnsFile()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if _, err := ip(ctx, "netns", "delete", l.Netns()); err != nil {
		return fmt.Errorf("removing the network of the node: %w", err)
	}
	return nil
}
