// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

// These places of the machine cannot be configured.
const (
	// logLinks gets a link from the kubelet for every container.
	logLinks = "/var/log/containers"
	// cniResults gets a file for every pod whose network is up.
	cniResults = "/var/lib/cni/results"
	// devicePlugins gets the socket of whichever kubelet came last.
	devicePlugins = "/var/lib/kubelet/device-plugins"
)

// RemoveLeftovers removes what a node wrote outside of its own folders.
func RemoveLeftovers(l layout.Layout) error {
	if err := removeLinksInto(logLinks, l.PodLogs()); err != nil {
		return err
	}
	results, err := filepath.Glob(filepath.Join(cniResults, l.CNINetwork()+"-*"))
	if err != nil {
		return fmt.Errorf("listing network results: %w", err)
	}
	for _, result := range results {
		if err := os.Remove(result); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("removing a network result: %w", err)
		}
	}
	return nil
}

// removeLinksInto removes the symbolic links in dir that lead into target.
func removeLinksInto(dir, target string) error {
	links, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(to, target+"/") {
			continue
		}
		if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("removing a link to a log: %w", err)
		}
	}
	return nil
}

// RemoveSharedPlaces removes those places that nodes share, as far as they are
// empty. It is for when the last node no longer exists.
func RemoveSharedPlaces() {
	socket := filepath.Join(devicePlugins, "kubelet.sock")
	// A kubelet that is not of a cluster still listens on its own.
	if connection, err := net.Dial("unix", socket); err == nil {
		connection.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(socket)
	}
	for _, dir := range []string{devicePlugins, filepath.Dir(devicePlugins), cniResults, filepath.Dir(cniResults), logLinks} {
		// A folder that another process uses is not empty, and stays.
		_ = os.Remove(dir)
	}
}
