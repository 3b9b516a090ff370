// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/version"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

func TestParseOptions(t *testing.T) {
	cases := map[string]struct {
		args []string
		// want is part of the error; empty for none.
		want string
	}{
		"the least":                        {[]string{"--runner-image=r"}, ""},
		"everything":                       {[]string{"--runner-image=r", "--default-image=d", "--runner-delivery=ImageVolume", "--concurrency=1", "--leader-elect", "--metrics-bind-address=:8443", "--pprof-bind-address=127.0.0.1:6060", "--namespaces=a,b", "--zap-log-level=1"}, ""},
		"no runner image":                  {nil, "--runner-image is required"},
		"default resources":                {[]string{"--runner-image=r", "--default-cpu-request=100m", "--default-memory-request=64Mi", "--default-cpu-limit=1", "--default-memory-limit=1Gi"}, ""},
		"only a request":                   {[]string{"--runner-image=r", "--default-memory-request=64Mi"}, ""},
		"a request over the limit":         {[]string{"--runner-image=r", "--default-memory-request=2Gi", "--default-memory-limit=1Gi"}, "--default-memory-request of 2Gi is over --default-memory-limit of 1Gi"},
		"less than nothing":                {[]string{"--runner-image=r", "--default-cpu-request=-1"}, "--default-cpu-request and --default-cpu-limit are at least 0"},
		"an amount that is none":           {[]string{"--runner-image=r", "--default-cpu-request=much"}, `reading "much"`},
		"an unknown delivery":              {[]string{"--runner-image=r", "--runner-delivery=Mail"}, `--runner-delivery is Auto, ImageVolume or InitContainer, not "Mail"`},
		"the cluster assigns users":        {[]string{"--runner-image=r", "--pod-user=none"}, ""},
		"root as the user of pods":         {[]string{"--runner-image=r", "--pod-user=0"}, "want an ID from 1 to 2147483647, or none"},
		"a user that is no ID":             {[]string{"--runner-image=r", "--pod-user=nobody"}, "want an ID from 1 to 2147483647, or none"},
		"a user over 31 bits":              {[]string{"--runner-image=r", "--pod-user=2147483648"}, "want an ID from 1 to 2147483647, or none"},
		"no concurrency":                   {[]string{"--runner-image=r", "--concurrency=0"}, "--concurrency is at least 1, not 0"},
		"an argument":                      {[]string{"--runner-image=r", "start"}, `unexpected argument "start"`},
		"a namespace that is none":         {[]string{"--runner-image=r", "--namespaces=a,B!"}, `--namespaces: "B!" is no namespace`},
		"pprof for everybody":              {[]string{"--runner-image=r", "--pprof-bind-address=:6060"}, "--pprof-bind-address is a loopback address"},
		"pprof at an address that is none": {[]string{"--runner-image=r", "--pprof-bind-address=here"}, "--pprof-bind-address is a loopback address"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(tc.args, &bytes.Buffer{})
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if o, err := parseOptions([]string{"--version"}, &bytes.Buffer{}); err != nil || !o.Version {
		t.Errorf("--version gives %+v, %v", o, err)
	}
	var help bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-runner-image") || !strings.Contains(help.String(), "-default-memory-request") {
		t.Errorf("--help gives %v and %s", err, help.String())
	}
}

func TestPodUser(t *testing.T) {
	for flag, want := range map[string]int64{"": 65532, "--pod-user=1000": 1000, "--pod-user=none": jobspec.NoPodUser} {
		args := []string{"--runner-image=r", "--runner-delivery=ImageVolume"}
		if flag != "" {
			args = append(args, flag)
		}
		options, err := parseOptions(args, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		jobs := options.jobs(&version.Info{Major: "1", Minor: "37"})
		if jobs.PodUser != want {
			t.Errorf("%q: got %d, want %d", flag, jobs.PodUser, want)
		}
	}
}

// TestDelivery checks how the runner is delivered at first.
func TestDelivery(t *testing.T) {
	for name, tc := range map[string]struct {
		major, minor string
		chosen, want jobspec.Delivery
	}{
		"the oldest":                   {"1", "33", deliveryAuto, jobspec.InitContainer},
		"without image volumes":        {"1", "35", deliveryAuto, jobspec.InitContainer},
		"with image volumes":           {"1", "36", deliveryAuto, jobspec.ImageVolume},
		"of a provider":                {"1", "36+", deliveryAuto, jobspec.ImageVolume},
		"the next major version":       {"2", "0", deliveryAuto, jobspec.ImageVolume},
		"unknown":                      {"", "", deliveryAuto, jobspec.InitContainer},
		"an init container, by choice": {"1", "37", jobspec.InitContainer, jobspec.InitContainer},
	} {
		t.Run(name, func(t *testing.T) {
			o := &Options{RunnerDelivery: tc.chosen}
			if got := o.jobs(&version.Info{Major: tc.major, Minor: tc.minor}).Delivery; got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
