// SPDX-License-Identifier: Apache-2.0

package collect_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/collect"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// groups are the TaskGroups of a cluster in namespace a, with the URIs that they name.
type groups struct {
	named     map[types.UID][]string
	unwatched map[types.UID]bool
	indexes   map[types.UID]string
	err       error
}

func (g *groups) IndexOf(uid types.UID) string { return g.indexes[uid] }

// indexes are URIs by the URI of an index.
type indexes map[string][]string

func (i indexes) Each(index string, visit func(string) error) error {
	uris, ok := i[index]
	if !ok {
		return volume.ErrUnavailable
	}
	for _, uri := range uris {
		if err := visit(uri); err != nil {
			return err
		}
	}
	return nil
}

func (g *groups) EachGroup(_ context.Context, visit func(string, types.UID)) error {
	for uid := range g.named {
		visit("a", uid)
	}
	return g.err
}

func (g *groups) NamedBy(uid types.UID) ([]string, bool) { return g.named[uid], !g.unwatched[uid] }

// fixture is a gateway that only collects.
type fixture struct {
	dir       string
	volume    *volume.Volume
	groups    *groups
	indexes   indexes
	clock     *testingclock.FakeClock
	collector *collect.Collector
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), groups: &groups{named: map[types.UID][]string{}, unwatched: map[types.UID]bool{}, indexes: map[types.UID]string{}}, indexes: indexes{}, clock: testingclock.NewFakeClock(time.Now())}
	f.start(t)
	t.Cleanup(func() { _ = f.volume.Close() })
	return f
}

// start starts the process, or starts it again.
func (f *fixture) start(t *testing.T) {
	t.Helper()
	if f.volume != nil {
		if err := f.volume.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if f.volume, err = volume.Open(volume.Config{Dir: f.dir}); err != nil {
		t.Fatal(err)
	}
	f.collector, err = collect.New(collect.Config{
		Volume: f.volume, TaskGroups: f.groups, Indexes: f.indexes, Storage: f.volume.State("collector"), Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Clock: f.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) create(t *testing.T, l objectpath.Location, data string) {
	t.Helper()
	if _, err := f.volume.Create(l, int64(len(data)), strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) pass(t *testing.T) {
	t.Helper()
	if err := f.collector.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// passAfter makes a pass at the time, and a second one after a duration.
func (f *fixture) passAfter(t *testing.T, d time.Duration) {
	t.Helper()
	f.pass(t)
	f.clock.Step(d)
	f.pass(t)
}

// files returns the names of all objects.
func (f *fixture) files(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(f.dir+"/namespaces", func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(path, f.dir+"/namespaces/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (f *fixture) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.files(t)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func result(uid string) objectpath.Location {
	return objectpath.Location{Namespace: "a", UID: uid, Attempt: 1, Name: "7/output"}
}

func content(data string) objectpath.Location {
	sum := sha256.Sum256([]byte(data))
	return objectpath.Location{Namespace: "a", Digest: hex.EncodeToString(sum[:])}
}

func TestResults(t *testing.T) {
	f := newFixture(t)
	f.groups.named["lives"], f.groups.named["reads"] = nil, []string{contract.GatewayOutputs("a") + "/named/a1/7/output"}
	for _, uid := range []string{"deleted", "lives", "named"} {
		f.create(t, result(uid), "data")
	}
	f.passAfter(t, 59*time.Minute)
	f.want(t, "in the grace period", "a/groups/deleted/a1/7/output", "a/groups/lives/a1/7/output", "a/groups/named/a1/7/output")
	f.clock.Step(time.Minute)
	f.pass(t)
	f.want(t, "after it", "a/groups/lives/a1/7/output", "a/groups/named/a1/7/output")
	delete(f.groups.named, "reads")
	f.passAfter(t, time.Hour)
	f.want(t, "when it is not named", "a/groups/lives/a1/7/output")
}

func TestInputs(t *testing.T) {
	f := newFixture(t)
	named, used, unused := content("named"), content("used"), content("unused")
	f.groups.named["lives"] = []string{named.URI(), "s3://bucket/x", "gateway://a/content/invalid"}
	for l, data := range map[objectpath.Location]string{named: "named", used: "used", unused: "unused"} {
		f.create(t, l, data)
	}
	// The uploads themselves are a use.
	f.passAfter(t, 24*time.Hour)
	f.want(t, "after the first pass without a use", sorted(named, used, unused)...)
	f.clock.Step(23 * time.Hour)
	object, err := f.volume.Open(used)
	if err != nil {
		t.Fatal(err)
	}
	_ = object.Close()
	f.pass(t)
	f.clock.Step(time.Hour)
	f.pass(t)
	f.want(t, "a day after the pass that found it unused", sorted(named, used)...)
	f.passAfter(t, 24*time.Hour)
	f.want(t, "a day after the last use", sorted(named)...)
}

func sorted(all ...objectpath.Location) []string {
	var names []string
	for _, l := range all {
		names = append(names, "a/"+l.Path())
	}
	slices.Sort(names)
	return names
}

// TestNothingIsDeletedWithoutTaskGroups requires that all TaskGroups were read.
// TestInputsOfAnIndex: what an index names is kept, and nothing is deleted while an index
// cannot be read.
func TestInputsOfAnIndex(t *testing.T) {
	f := newFixture(t)
	f.create(t, content("named"), "named")
	f.create(t, content("other"), "other")
	f.create(t, result("producer"), "data")
	const index = "gateway://a/content/index"
	f.groups.named["lives"], f.groups.indexes["lives"] = nil, index
	if err := f.collector.Pass(t.Context()); !errors.Is(err, volume.ErrUnavailable) {
		t.Errorf("an index that cannot be read: %v", err)
	}
	named := content("named")
	f.indexes[index] = []string{named.URI(), contract.GatewayOutputs("a") + "/producer/a1/7/output"}
	f.passAfter(t, 25*time.Hour)
	f.want(t, "after a day", "a/content/"+named.Digest, "a/groups/producer/a1/7/output")
}

func TestNothingIsDeletedWithoutTaskGroups(t *testing.T) {
	for name, breakIt := range map[string]func(*groups){
		"the list fails":            func(g *groups) { g.err = errors.New("the API server does not answer") },
		"the watch has not all yet": func(g *groups) { g.named["new"], g.unwatched["new"] = nil, true },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.create(t, result("deleted"), "data")
			f.pass(t)
			f.clock.Step(48 * time.Hour)
			breakIt(f.groups)
			if err := f.collector.Pass(t.Context()); err == nil {
				t.Error("the pass has no error")
			}
			f.want(t, "after the pass", "a/groups/deleted/a1/7/output")
		})
	}
}

// TestRestart requires that the grace periods continue, and that the time in which no
// gateway was running does not count: its clock may have been set.
func TestRestart(t *testing.T) {
	f := newFixture(t)
	f.create(t, result("deleted"), "data")
	f.passAfter(t, 40*time.Minute)
	f.clock.Step(24 * time.Hour)
	f.start(t)
	f.pass(t)
	f.want(t, "a day later by the clock", "a/groups/deleted/a1/7/output")
	f.clock.Step(-24 * time.Hour)
	f.pass(t)
	f.clock.Step(20 * time.Minute)
	f.pass(t)
	f.want(t, "after the rest of the grace period")
}

// TestDamagedMarks begins the grace periods again.
func TestDamagedMarks(t *testing.T) {
	f := newFixture(t)
	f.create(t, result("deleted"), "data")
	f.passAfter(t, 40*time.Minute)
	if err := f.volume.State("collector").Save([]byte(`{"elapsed":`)); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	f.passAfter(t, 59*time.Minute)
	f.want(t, "in the new grace period", "a/groups/deleted/a1/7/output")
	f.clock.Step(time.Minute)
	f.pass(t)
	f.want(t, "after it")
}

// TestReadObjectsAreKept requires that a transfer finishes.
func TestReadObjectsAreKept(t *testing.T) {
	f := newFixture(t)
	f.create(t, result("deleted"), "data")
	object, err := f.volume.Open(result("deleted"))
	if err != nil {
		t.Fatal(err)
	}
	f.passAfter(t, time.Hour)
	f.want(t, "while it is read", "a/groups/deleted/a1/7/output")
	_ = object.Close()
	f.pass(t)
	f.want(t, "after it was read")
}

// TestInterruptedPass cancels a pass, and starts the gateway again.
func TestInterruptedPass(t *testing.T) {
	f := newFixture(t)
	const count = 50
	for i := range count {
		f.create(t, result(fmt.Sprintf("group-%d", i)), "data")
	}
	f.pass(t)
	f.clock.Step(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	removing := &cancelling{Volume: f.volume, left: count / 2, cancel: cancel}
	collector, err := collect.New(collect.Config{
		Volume: removing, TaskGroups: f.groups, Indexes: f.indexes, Storage: f.volume.State("collector"), Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Clock: f.clock,
		GroupGrace: time.Nanosecond, Interval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { collector.Run(ctx); close(done) }()
	for !f.clock.HasWaiters() {
		if t.Context().Err() != nil {
			t.Fatal("the first pass did not end")
		}
	}
	f.clock.Step(time.Hour)
	<-done
	if left := len(f.files(t)); left != count/2 {
		t.Fatalf("%d objects are left, want %d", left, count/2)
	}
	f.start(t)
	f.pass(t)
	f.want(t, "after the restart")
	if usage := f.volume.Usage(); len(usage) > 0 {
		t.Errorf("usage %v", usage)
	}
}

// cancelling interrupts a pass after some deletions.
type cancelling struct {
	*volume.Volume

	left   int
	cancel func()
}

func (c *cancelling) RemoveGroup(g volume.Group) (bool, error) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	return c.Volume.RemoveGroup(g)
}

// TestManyGroups leaves nothing of 10,000 groups.
func TestManyGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 objects")
	}
	f := newFixture(t)
	for i := range 10_000 {
		f.groups.named[types.UID(strconv.Itoa(i))] = nil
		dir := fmt.Sprintf("%s/namespaces/a/groups/%d/a1", f.dir, i)
		if err := errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(dir+"/manifest.json", []byte("data"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	f.passAfter(t, time.Hour)
	if got := len(f.files(t)); got != 10_000 {
		t.Fatalf("%d objects", got)
	}
	clear(f.groups.named)
	f.passAfter(t, time.Hour)
	left, err := os.ReadDir(f.dir + "/namespaces/a/groups")
	if len(left) > 0 || err != nil {
		t.Errorf("%d folders are left, %v", len(left), err)
	}
}
