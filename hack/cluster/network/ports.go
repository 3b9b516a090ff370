// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the range that the kernel gives to outgoing
// connections, so that none of those takes a port before its owner listens.
const firstPort, lastPort = 20000, 32000

// FreePorts returns ports on which nothing listens, all different.
func FreePorts(count int) ([]int, error) {
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			listener.Close()
		}
	}()
	var ports []int
	for range 100 * count {
		port := firstPort + rand.IntN(lastPort-firstPort)
		// Without an address this fails when the port is taken on any of them.
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		held = append(held, listener)
		ports = append(ports, port)
		if len(ports) == count {
			return ports, nil
		}
	}
	return nil, errors.New("looking for free ports: nearly all of 20000-32000 are taken")
}
