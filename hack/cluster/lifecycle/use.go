// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
)

// LoadImages loads image archives into a cluster that is up.
func LoadImages(ctx context.Context, l layout.Layout, archives []string, report *progress.Reporter) error {
	state, err := upState(l)
	if err != nil {
		return err
	}
	if state.Options.ControlPlaneOnly {
		return fmt.Errorf("loading images into cluster %s: it has no node", l.Name)
	}
	return node.ImportImages(ctx, l, state.Bin, archives, report)
}

// Kubeconfig is the file by which people use a cluster that is up.
func Kubeconfig(l layout.Layout) (string, error) {
	if _, err := upState(l); err != nil {
		return "", err
	}
	return l.Kubeconfig(), nil
}

func upState(l layout.Layout) (State, error) {
	state, err := loadState(l)
	if err == nil && !state.Ready {
		err = errors.New("it did not come up")
	}
	if err != nil {
		return State{}, fmt.Errorf("looking for cluster %s in %s: %w; start it with \"cluster up --name %s\"", l.Name, l.Dir, err, l.Name)
	}
	return state, nil
}
