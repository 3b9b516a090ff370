// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// TestState requires the metrics of a volume, of a lost volume and of a bucket.
func TestState(t *testing.T) {
	available, lost := func() error { return nil }, func() error { return errors.New("lost") }
	space := func(s volume.Space, err error) func() (volume.Space, error) {
		return func() (volume.Space, error) { return s, err }
	}
	usage := func() map[string]int64 { return map[string]int64{"a": 10, "b": 20} }
	quota := func(namespace string) int64 { return map[string]int64{"a": 100}[namespace] }
	expiry := func() time.Time { return time.Unix(1000, 0) }
	for name, tc := range map[string]struct {
		state server.State
		want  string
	}{
		"a volume": {
			server.State{Usage: usage, Quota: quota, Space: space(volume.Space{Size: 1000, Free: 400}, nil), CheckVolume: available, Expiry: expiry},
			`certificate_expiration_timestamp_seconds 1000; namespace_bytes{namespace="a"} 10; namespace_bytes{namespace="b"} 20; namespace_quota_bytes{namespace="a"} 100; volume_available 1; volume_free_bytes 400; volume_size_bytes 1000; volume_writable 1`,
		},
		"a volume that is read-only": {
			server.State{Space: space(volume.Space{Size: 1000, IsReadOnly: true}, nil), CheckVolume: available, Expiry: expiry},
			`certificate_expiration_timestamp_seconds 1000; volume_available 1; volume_free_bytes 0; volume_size_bytes 1000; volume_writable 0`,
		},
		"a volume that is lost": {
			server.State{Space: space(volume.Space{}, errors.New("lost")), CheckVolume: lost, Expiry: func() time.Time { return time.Time{} }},
			`volume_available 0`,
		},
		"a bucket": {server.State{CheckVolume: available, Expiry: expiry}, `certificate_expiration_timestamp_seconds 1000; volume_available 1`},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(tc.state)
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, family := range families {
				if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
					t.Fatal(err)
				}
			}
			var lines []string
			for line := range strings.Lines(text.String()) {
				if !strings.HasPrefix(line, "#") {
					lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), "taskgroup_gateway_"))
				}
			}
			if got := strings.Join(lines, "; "); got != tc.want {
				t.Errorf("got %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestSpace requires the space of the file system of a volume.
func TestSpace(t *testing.T) {
	v, err := volume.Open(volume.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	space, err := v.Space()
	if err != nil || space.Size == 0 || space.Free == 0 || space.Free > space.Size || space.IsReadOnly {
		t.Errorf("%+v, %v", space, err)
	}
}
