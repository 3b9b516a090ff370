// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	signedPlace = "s3://bucket/team a/results/9d1c3a52-4b7e-4a3f-8b8f-3c1d2e4a6f1c"
	signedBase  = "https://minio.example:9000/bucket/team%20a/results/9d1c3a52-4b7e-4a3f-8b8f-3c1d2e4a6f1c"
	// signedQuery has a session token, as temporary credentials have.
	signedQuery = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261123%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=20261123T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature="
)

// signature has the entropy of a real one.
func signature(n int) string { return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, n))) }

func TestSignedURLsRoundTrip(t *testing.T) {
	tests := map[string]struct {
		permission contract.Permission
		url        string
	}{
		"below the place":            {contract.Permission{Access: contract.AccessPut, URI: signedPlace + "/a1/7/output"}, signedBase + "/a1/7/output" + signedQuery + signature(1)},
		"its neighbour":              {contract.Permission{Access: contract.AccessPut, URI: signedPlace + "/a1/7/stdout"}, signedBase + "/a1/7/stdout" + signedQuery + signature(2)},
		"the same, read":             {contract.Permission{Access: contract.AccessGet, URI: signedPlace + "/a1/7/output"}, signedBase + "/a1/7/output" + signedQuery + signature(3)},
		"created":                    {contract.Permission{Access: contract.AccessCreate, URI: signedPlace + "/a1/manifest.json"}, signedBase + "/a1/manifest.json" + strings.ReplaceAll(signedQuery, "=host", "=host%3Bif-none-match") + signature(4)},
		"elsewhere":                  {contract.Permission{Access: contract.AccessGet, URI: "s3://other/größe?#%"}, "https://other.s3.amazonaws.com/gr%C3%B6%C3%9Fe%3F%23%25" + signedQuery + signature(5)},
		"another that begins as one": {contract.Permission{Access: contract.AccessGet, URI: "s3://other/größe?#%2"}, "https://other.s3.amazonaws.com/gr%C3%B6%C3%9Fe%3F%23%252" + signedQuery + signature(6)},
		"escaped below the place":    {contract.Permission{Access: contract.AccessGet, URI: signedPlace + "/ä"}, signedBase + "/%C3%A4" + signedQuery + signature(7)},
	}
	until := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	all := contract.NewSignedURLs("uid-1", signedPlace, until)
	for name, test := range tests {
		if err := all.Add(test.permission, test.url); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	packed, err := all.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := contract.DecodeSignedURLs(packed)
	if err != nil || read.UID != "uid-1" || !read.Until.Equal(until) {
		t.Fatalf("read %+v, %v", read, err)
	}
	for name, test := range tests {
		if got, ok := read.URL(test.permission); !ok {
			t.Errorf("%s: there is none", name)
		} else if diff := cmp.Diff(test.url, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, p := range []contract.Permission{
		{Access: contract.AccessPut, URI: "s3://other/größe?#%"}, {Access: contract.AccessPut, URI: signedPlace + "/a1/manifest.json"},
		{Access: contract.AccessGet, URI: signedPlace + "/a1/7/stdout"}, {Access: contract.AccessPut, URI: signedPlace + "/a2/7/output"}, {Access: contract.AccessGet, URI: "s3://other/"},
	} {
		if got, ok := read.URL(p); ok {
			t.Errorf("%+v: nobody signed %s", p, got)
		}
	}
}

func TestSignedURLsThatAreRefused(t *testing.T) {
	all := contract.NewSignedURLs("u", signedPlace, time.Time{})
	for _, url := range []string{"https://host/a=b", "https://host/a=b?c", ""} {
		if err := all.Add(contract.Permission{Access: contract.AccessGet, URI: "s3://b/k"}, url); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
	for i := range 30_000 {
		if err := all.Add(contract.Permission{Access: contract.AccessPut, URI: fmt.Sprint(signedPlace, "/a1/", i, "/output")}, fmt.Sprint(signedBase, "/a1/", i, "/output", signedQuery, signature(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := all.Encode(); !errors.Is(err, contract.ErrSignedURLsTooLarge) {
		t.Errorf("too many: %v", err)
	}
	newer := contract.SignedURLs{Version: 9}
	packed, err := newer.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.DecodeSignedURLs(packed); err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("a newer version: %v", err)
	}
	for _, bad := range [][]byte{nil, []byte("text"), packed[:len(packed)/2]} {
		if _, err := contract.DecodeSignedURLs(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
