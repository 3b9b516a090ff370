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
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return controlplane.Start(groupCtx, state.controlPlane(r.Layout), r.Report) })
	if !r.Options.ControlPlaneOnly {
		group.Go(func() error { return r.startContainerd(groupCtx, *state) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if !r.Options.ControlPlaneOnly {
		if err := r.startNode(ctx, *state); err != nil {
			return err
		}
	}
	if err := firstDead(r); err != nil {
		return err
	}
	state.Ready = true
	return state.save(r.Layout)
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
		if err := r.claimRunDir(); err != nil {
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

// claimRunDir notes in the run folder whose it is, for when the state is lost.
func (r Request) claimRunDir() error {
	if err := os.MkdirAll(r.Layout.RunDir(), 0o711); err != nil {
		return fmt.Errorf("making the run folder: %w", err)
	}
	if err := os.WriteFile(ownerFile(r.Layout.RunDir()), []byte(r.Layout.Dir), 0o644); err != nil {
		return fmt.Errorf("marking the run folder: %w", err)
	}
	return nil
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
	return node.Start(ctx, state.node(r.Layout), client.NodeIsReady(r.Layout.Name), r.Report)
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
