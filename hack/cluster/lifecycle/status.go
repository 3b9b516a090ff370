// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/controlplane"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
)

// Component is one program of a cluster.
type Component struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Running bool   `json:"running"`
}

// Status reports how a cluster is.
type Status struct {
	Info
	// Healthy reports that all components run and the cluster can take pods.
	Healthy bool `json:"healthy"`
	// Problem is the error as text, empty when healthy.
	Problem    string      `json:"problem,omitempty"`
	Components []Component `json:"components"`
}

func (s Status) problem() error {
	if s.Healthy {
		return nil
	}
	return errors.New(s.Problem)
}

// StatusOf looks at a cluster.
func StatusOf(ctx context.Context, l layout.Layout) (Status, error) {
	state, err := loadState(l)
	if err != nil {
		return Status{}, fmt.Errorf("looking for cluster %s in %s: %w", l.Name, l.Dir, err)
	}
	return health(ctx, l, state), nil
}

func health(ctx context.Context, l layout.Layout, state State) Status {
	status := Status{Info: state.info(l)}
	records, err := process.Records(l.PIDs())
	if err != nil {
		status.Problem = err.Error()
		return status
	}
	var dead []string
	for _, record := range records {
		running := process.Host.IsRunning(record.Identity)
		status.Components = append(status.Components, Component{Name: record.Name, PID: record.PID, Running: running})
		if !running {
			dead = append(dead, record.Name)
		}
	}
	switch {
	case !state.Ready:
		status.Problem = "it did not come up; its logs are in " + l.Logs()
	case len(dead) > 0:
		status.Problem = "not running: " + strings.Join(dead, ", ")
	default:
		err := answers(ctx, l, state)
		status.Healthy = err == nil
		if err != nil {
			status.Problem = err.Error()
		}
	}
	return status
}

func answers(ctx context.Context, l layout.Layout, state State) error {
	client, err := controlplane.NewClient(state.controlPlane(l))
	if err != nil {
		return err
	}
	if err := client.IsReady(ctx); err != nil {
		return err
	}
	if state.Options.ControlPlaneOnly {
		return nil
	}
	return client.NodeIsReady(l.Name)(ctx)
}
