// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/manifest"
)

func encode(t *testing.T, version int) (raw []byte, digest string) {
	t.Helper()
	raw, err := json.Marshal(contract.Manifest{Version: version, UID: "uid", Attempt: 2})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return raw, hex.EncodeToString(sum[:])
}

func TestRead(t *testing.T) {
	t.Parallel()
	raw, digest := encode(t, contract.ManifestVersion)
	newer, _ := encode(t, contract.ManifestVersion+1)
	tests := map[string]struct {
		raw  []byte
		want manifest.Reference
		err  error
	}{
		"as committed":         {raw, manifest.Reference{SHA256: digest, UID: "uid", Attempt: 2}, nil},
		"nothing to compare":   {raw, manifest.Reference{}, nil},
		"other bytes":          {append([]byte(" "), raw...), manifest.Reference{SHA256: digest}, manifest.ErrChanged},
		"another group":        {raw, manifest.Reference{UID: "uid-2"}, manifest.ErrOtherGroup},
		"another attempt":      {raw, manifest.Reference{UID: "uid", Attempt: 1}, manifest.ErrOtherGroup},
		"a newer version":      {newer, manifest.Reference{}, manifest.ErrInvalid},
		"no JSON":              {[]byte("{"), manifest.Reference{}, manifest.ErrInvalid},
		"larger than all that": {bytes.Repeat([]byte(" "), contract.MaxManifest+1), manifest.Reference{}, manifest.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.URI = "https://h/out/manifest.json?sig=secret"
			got, err := manifest.Read(bytes.NewReader(test.raw), test.want)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) || (got == nil) == (err == nil) {
				t.Errorf("read %v, error %v", got, err)
			}
			if err != nil && (!errors.Is(err, manifest.ErrInvalid) || !strings.HasPrefix(err.Error(), "https://h/out/manifest.json?REDACTED: invalid manifest")) {
				t.Errorf("error %v", err)
			}
		})
	}
	broken := errors.New("connection reset")
	if _, err := manifest.Read(iotest.ErrReader(broken), manifest.Reference{}); !errors.Is(err, broken) || errors.Is(err, manifest.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// fetcher returns what is at a path, or an error.
type fetcher struct {
	path string
	err  error
}

func (f fetcher) Fetch(context.Context, string, string) (string, error) { return f.path, f.err }

func TestFetch(t *testing.T) {
	t.Parallel()
	raw, digest := encode(t, contract.ManifestVersion)
	path := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	want := manifest.Reference{URI: "s3://b/k", SHA256: digest}
	if got, err := manifest.Fetch(t.Context(), fetcher{path: path}, "", want); err != nil || got.UID != "uid" {
		t.Errorf("fetched %v, %v", got, err)
	}
	if _, err := manifest.Fetch(t.Context(), fetcher{err: store.ErrNotExist}, "", want); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, manifest.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// FuzzRead decodes any bytes.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"version":1,"uid":"uid","attempt":1,"tasks":[]}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := manifest.Read(bytes.NewReader(raw), manifest.Reference{UID: "uid", Attempt: 1})
		if err == nil && (found.UID != "uid" || found.Attempt != 1) {
			t.Errorf("accepted %s", raw)
		}
	})
}
