// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/controlplane"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/pki"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
)

// start starts everything; state is saved as it grows.
func (r Request) start(ctx context.Context, state *State) error {
	if err := r.takeResources(ctx, state); err != nil {
		return err
	}
	if err := pki.Write(r.Layout.PKI(), certificates(r, *state)); err != nil {
		return err
	}
	config := state.controlPlane(r.Layout)
	err := r.together(ctx,
		func(ctx context.Context) error { return controlplane.Start(ctx, config, r.Report) },
		func(ctx context.Context) error { return r.startContainerd(ctx, *state) })
	if err != nil {
		return err
	}
	err = r.together(ctx,
		func(ctx context.Context) error { return controlplane.StartControllers(ctx, config, r.Report) },
		func(ctx context.Context) error { return r.startNode(ctx, *state) })
	if err != nil {
		return err
	}
	if err := firstDead(r); err != nil {
		return err
	}
	state.Ready = true
	return state.save(r.Layout)
}

// together does one part of the control plane's start and one of the node's side
// by side, the latter only if there is a node.
func (r Request) together(ctx context.Context, controlPlane, node func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return controlPlane(ctx) })
	if !r.Options.ControlPlaneOnly {
		group.Go(func() error { return node(ctx) })
	}
	return group.Wait()
}

// takeResources takes ports, addresses and cgroups from the machine.
func (r Request) takeResources(ctx context.Context, state *State) error {
	for _, dir := range []string{r.Layout.Logs(), r.Layout.PIDs(), r.Layout.Config(), r.Layout.Etcd()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making a folder of cluster %s: %w", r.Layout.Name, err)
		}
	}
	var err error
	if state.Ports, err = controlplane.FreePorts(); err != nil {
		return err
	}
	if !r.Options.ControlPlaneOnly {
		if err := enterMachine(r.Layout); err != nil {
			return err
		}
		if err := cgroup.Host.Create(r.Layout.Cgroup()); err != nil {
			return err
		}
		if state.Block, err = network.Create(ctx, r.Layout); err != nil {
			return err
		}
	}
	return state.save(r.Layout)
}

func certificates(r Request, state State) pki.Request {
	request := pki.Request{
		APIServerIPs: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(network.FirstService)},
		Now:          time.Now(),
	}
	if !r.Options.ControlPlaneOnly {
		request.NodeName = r.Layout.Name
		request.APIServerIPs = append(request.APIServerIPs, state.Block.Host().AsSlice())
		request.NodeIPs = []net.IP{state.Block.Node().AsSlice(), net.ParseIP("127.0.0.1")}
	}
	return request
}

func (r Request) startContainerd(ctx context.Context, state State) error {
	pause, err := r.pauseImage(ctx)
	if err != nil {
		return err
	}
	if err := node.StartContainerd(ctx, state.node(r.Layout), r.Report); err != nil {
		return err
	}
	return node.ImportImages(ctx, r.Layout, state.Bin, append([]string{pause}, r.Images...), r.Report)
}

func (r Request) startNode(ctx context.Context, state State) error {
	client, err := controlplane.NewClient(state.controlPlane(r.Layout))
	if err != nil {
		return err
	}
	config := state.node(r.Layout)
	objects, err := config.Objects()
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := client.Create(ctx, object.Collection, object.Manifest); err != nil {
			return err
		}
	}
	return node.Start(ctx, config, client.NodeIsReady(r.Layout.Name), r.Report)
}

// firstDead catches a component that nothing waited for and that ended.
func firstDead(r Request) error {
	records, err := process.Records(r.Layout.PIDs())
	if err != nil {
		return err
	}
	for _, record := range records {
		if !process.Host.IsRunning(record.Identity) {
			return &process.Failure{
				Component: record.Name, Log: record.LogFile(r.Layout.Logs()), Err: process.ErrGone,
			}
		}
	}
	return nil
}
