package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

// These places of the machine cannot be configured.
const (
	// logLinks gets a link from the kubelet for every container.
	logLinks = "/var/log/containers"
	// cniResults gets a file for every pod whose network is up.
	cniResults = "/var/lib/cni/results"
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
