// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"--quota=5Gi", "--namespace-quota=a=1Mi", "--namespace-quota=b=0", "--results-grace=2h", "--host-name=assets.example.com"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c := o.quota("a"), o.quota("b"), o.quota("c"); a != 1<<20 || b != 0 || c != 5<<30 {
		t.Errorf("quotas %d, %d, %d", a, b, c)
	}
	if o.GroupGrace != 2*time.Hour || o.ContentGrace != 24*time.Hour || len(o.HostNames) != 1 {
		t.Errorf("options %+v", o)
	}
	for args, want := range map[string]string{
		"--quota=many":                                 "quota",
		"--quota=-1":                                   "negative",
		"--namespace-quota=A=1Gi":                      `"A" is not a namespace`,
		"--namespace-quota=a":                          "quantities",
		"--results-grace=0":                            "--results-grace is 0s",
		"--max-transfers=0":                            "--max-transfers is 0",
		"--host-name=https://host":                     "not a host name",
		"--volume=":                                    "--volume is required",
		"--log-level=LOUD":                             "log-level",
		"--bucket=bucket":                              "--bucket: want scheme://bucket",
		"--bucket=$(TASKGROUP_BUCKET)":                 "--bucket: want scheme://bucket",
		"--bucket=https://host/folder":                 "--bucket: the schemes are azblob, gs and s3",
		"--bucket=s3://key:secret@bucket":              "--bucket: a bucket has no user",
		"--bucket=s3://bucket --quota=1Gi":             "limit the bucket itself",
		"--bucket=s3://bucket --namespace-quota=a=1Gi": "limit the bucket itself",
		"--bucket=s3://bucket --upload-dir=":           "--upload-dir is required",
		"--upload-space=-1":                            "negative",
		"argument":                                     `unexpected argument "argument"`,
		"--volume= --max-transfers=-1":                 "--max-transfers is -1",
	} {
		if _, err := parseOptions(strings.Fields(args), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
	for _, uri := range []string{"s3://bucket", "gs://bucket/prefix", "azblob://container/prefix/"} {
		if _, err := parseOptions([]string{"--bucket=" + uri, "--upload-space=1Gi", "--volume="}, &bytes.Buffer{}); err != nil {
			t.Errorf("%s: error %v", uri, err)
		}
	}
	if _, err := parseOptions([]string{"--help"}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v", err)
	}
}
