// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/controlplane"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
)

// Options are the choices that a cluster keeps for its whole life.
type Options struct {
	// ControlPlaneOnly leaves the node out.
	ControlPlaneOnly bool `json:"controlPlaneOnly"`
	// NoScheduler leaves the scheduler out.
	NoScheduler bool `json:"noScheduler"`
	// Audit turns the audit log on.
	Audit bool `json:"audit"`
	// ExtraAPIServerArgs, ExtraManagerArgs and ExtraSchedulerArgs are "key=value".
	ExtraAPIServerArgs []string `json:"extraAPIServerArgs,omitempty"`
	ExtraManagerArgs   []string `json:"extraControllerManagerArgs,omitempty"`
	ExtraSchedulerArgs []string `json:"extraSchedulerArgs,omitempty"`
}

// State is what is remembered of a cluster.
type State struct {
	Name string `json:"name"`
	// Ready is set once the cluster was up.
	Ready   bool    `json:"ready"`
	Version string  `json:"kubernetesVersion"`
	Options Options `json:"options"`
	// Bin is the folder of the programs that it runs.
	Bin   string             `json:"bin"`
	Ports controlplane.Ports `json:"ports"`
	// Block is empty without a node.
	Block network.Block `json:"block"`
}

// errAbsent reports that there is no cluster in a folder.
var errAbsent = errors.New("there is no such cluster")

func loadState(l layout.Layout) (State, error) {
	data, err := os.ReadFile(l.StateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, errAbsent
	}
	if err != nil {
		return State{}, fmt.Errorf("reading the state of cluster %s: %w", l.Name, err)
	}
	var state State
	if err := json.Unmarshal(data, &state); err != nil {
		return State{}, fmt.Errorf("parsing the state of cluster %s (remove it with \"cluster down\"): %w", l.Name, err)
	}
	return state, nil
}

// save replaces the file in one step, so that a crash leaves a whole one.
func (s State) save(l layout.Layout) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the state of cluster %s: %w", l.Name, err)
	}
	partial := l.StateFile() + ".partial"
	if err := os.WriteFile(partial, data, 0o644); err != nil {
		return fmt.Errorf("writing the state of cluster %s: %w", l.Name, err)
	}
	if err := os.Rename(partial, l.StateFile()); err != nil {
		return fmt.Errorf("writing the state of cluster %s: %w", l.Name, err)
	}
	return nil
}

func (s State) controlPlane(l layout.Layout) controlplane.Config {
	config := controlplane.Config{
		Layout: l, Bin: s.Bin, Ports: s.Ports,
		Audit: s.Options.Audit, NoScheduler: s.Options.NoScheduler,
		ExtraAPIServerArgs: s.Options.ExtraAPIServerArgs, ExtraManagerArgs: s.Options.ExtraManagerArgs,
		ExtraSchedulerArgs: s.Options.ExtraSchedulerArgs,
	}
	if !s.Options.ControlPlaneOnly {
		config.Host = s.Block.Host()
	}
	return config
}

func (s State) node(l layout.Layout) node.Config {
	return node.Config{Layout: l, Bin: s.Bin, Block: s.Block, Server: s.controlPlane(l).NodeServer()}
}
