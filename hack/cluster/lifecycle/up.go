// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
	"github.com/taskgroup-operator/taskgroup-operator/hack/image/recipe"
)

// Request reports which cluster to bring up.
type Request struct {
	Layout     layout.Layout
	Options    Options
	Repository workspace.Workspace
	Builder    build.Builder
	// Images are archives to load.
	Images []string
	Report *progress.Reporter
}

// Validate checks what can be checked before anything is started.
func (r Request) Validate() error {
	if r.Options.ControlPlaneOnly && len(r.Images) > 0 {
		return errors.New("checking the flags: --image needs a node, which --control-plane-only leaves out")
	}
	if r.Options.NoScheduler && !r.Options.ControlPlaneOnly {
		return errors.New("checking the flags: --no-scheduler is for --control-plane-only, where something else plays the node")
	}
	for _, arg := range slices.Concat(r.Options.ExtraAPIServerArgs, r.Options.ExtraManagerArgs, r.Options.ExtraSchedulerArgs) {
		if !strings.Contains(arg, "=") || strings.HasPrefix(arg, "-") {
			return fmt.Errorf("checking the flags: an extra argument is key=value without dashes, not %q", arg)
		}
	}
	for _, image := range r.Images {
		if _, err := os.Stat(image); err != nil {
			return fmt.Errorf("checking the flags: %w", err)
		}
	}
	if !r.Options.ControlPlaneOnly && os.Geteuid() != 0 {
		return errors.New("checking privileges: a node needs root; run as root, or use --control-plane-only")
	}
	return nil
}

// Up brings a cluster up and loads its images. A cluster that is up already only
// gets the images.
func Up(ctx context.Context, r Request) (Info, error) {
	if err := r.Validate(); err != nil {
		return Info{}, err
	}
	unlock, err := layout.Lock(r.Layout.Dir)
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	state, err := loadState(r.Layout)
	if err == nil && state.Ready {
		return r.reuse(ctx, state)
	}
	if errors.Is(err, errAbsent) {
		err = refuseForeign(r.Layout)
	}
	if err != nil {
		return Info{}, err
	}
	if err := r.build(ctx); err != nil {
		return Info{}, err
	}
	if err := clean(ctx, r.Layout); err != nil {
		return Info{}, err
	}
	state, err = r.newState()
	if err != nil {
		return Info{}, err
	}
	if err := r.start(ctx, &state); err != nil {
		return Info{}, errors.Join(err, cleanButLogs(r.Layout, state))
	}
	return state.info(r.Layout), nil
}

// reuse makes sure that an existing cluster is the requested one.
func (r Request) reuse(ctx context.Context, state State) (Info, error) {
	name := r.Layout.Name
	if !reflect.DeepEqual(state.Options, r.Options) {
		return Info{}, fmt.Errorf("checking cluster %s: it is up with other options; run \"cluster down --name %s\" first", name, name)
	}
	if err := health(ctx, r.Layout, state).problem(); err != nil {
		return Info{}, fmt.Errorf("checking cluster %s: %w; run \"cluster down --name %s\", then up again", name, err, name)
	}
	r.Report.Line("cluster %s is already up", name)
	if err := node.ImportImages(ctx, r.Layout, state.Bin, r.Images, r.Report); err != nil {
		return Info{}, err
	}
	return state.info(r.Layout), nil
}

func (r Request) build(ctx context.Context) error {
	targets, err := build.Targets(r.Repository.Modules(), r.Options.ControlPlaneOnly)
	if err != nil {
		return err
	}
	if !r.Options.ControlPlaneOnly {
		if err := build.Install(ctx, r.Report, build.NodePrograms); err != nil {
			return err
		}
	}
	return r.Builder.Build(ctx, targets)
}

func (r Request) newState() (State, error) {
	version, err := build.KubernetesVersion(r.Repository.Modules())
	if err != nil {
		return State{}, err
	}
	state := State{Name: r.Layout.Name, Version: version, Options: r.Options, Bin: r.Builder.Bin()}
	return state, state.save(r.Layout)
}

// refuseForeign keeps a mistyped --dir from ever being cleared as a cluster's.
func refuseForeign(l layout.Layout) error {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return fmt.Errorf("reading %s: %w", l.Dir, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("checking %s: the folder has files that are no cluster's; choose an empty one with --dir", l.Dir)
	}
	return nil
}

func (r Request) pauseImage(ctx context.Context) (string, error) {
	archive := filepath.Join(r.Builder.Dir, "images", "pause.tar")
	return archive, recipe.WritePause(ctx, r.Builder, r.Repository.Hack(), archive)
}
