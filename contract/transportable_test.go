// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// golden is testdata/transportable.json: what Covalent itself wrote. The
// harness's tests (python/tests) read the same files.
type golden struct {
	Cloudpickle string
	Objects     map[string]struct{ Python string }
}

func readGolden(t testing.TB) golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/transportable.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func readObject(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "transportable", name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestReadTransportableHeaderOfWhatCovalentWrote(t *testing.T) {
	g := readGolden(t)
	for name, object := range g.Objects {
		t.Run(name, func(t *testing.T) {
			// One byte at a time: no reader has to fill a buffer.
			got, err := contract.ReadTransportableHeader(iotest.OneByteReader(bytes.NewReader(readObject(t, name))))
			if err != nil {
				t.Fatal(err)
			}
			want := &contract.TransportableHeader{PythonVersion: object.Python, CloudpickleVersion: g.Cloudpickle}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if files, _ := filepath.Glob("testdata/transportable/*.bin"); len(files) != len(g.Objects) || len(files) == 0 {
		t.Errorf("%d files, the index has %d", len(files), len(g.Objects))
	}
}

func TestReadTransportableHeaderReadsNothingBehindIt(t *testing.T) {
	raw := readObject(t, "bytes")
	r := bytes.NewReader(raw)
	if _, err := contract.ReadTransportableHeader(r); err != nil {
		t.Fatal(err)
	}
	if want := len(raw) - int(binary.BigEndian.Uint64(raw)); r.Len() != want {
		t.Errorf("%d bytes are left, want %d", r.Len(), want)
	}
}

func TestReadTransportableHeaderRefuses(t *testing.T) {
	offsets := func(stringAt, dataAt uint64, rest string) []byte {
		raw := binary.BigEndian.AppendUint64(nil, stringAt)
		return append(binary.BigEndian.AppendUint64(raw, dataAt), rest...)
	}
	whole := readObject(t, "number")
	tests := map[string][]byte{
		"nothing":              nil,
		"half of the offsets":  whole[:9],
		"half of the header":   whole[:40],
		"text":                 []byte("this is a text file and no archive"),
		"string in the offset": offsets(15, 20, "{}"),
		"data before string":   offsets(18, 17, "{}"),
		"a header of 1 EiB":    offsets(1<<60, 1<<60, "{}"),
		"wrapped around":       offsets(^uint64(0), ^uint64(0), "{}"),
		"no JSON":              offsets(18, 18, "{x"),
		"a list":               offsets(18, 18, "[]"),
		"no header at all":     offsets(16, 16, ""),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			if h, err := contract.ReadTransportableHeader(bytes.NewReader(raw)); !errors.Is(err, contract.ErrNotTransportable) {
				t.Errorf("ReadTransportableHeader = %+v, %v", h, err)
			}
		})
	}
	broken := errors.New("broken pipe")
	if _, err := contract.ReadTransportableHeader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("err = %v, want the reader's", err)
	}
}

func FuzzReadTransportableHeader(f *testing.F) {
	for name := range readGolden(f).Objects {
		f.Add(readObject(f, name))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		h, err := contract.ReadTransportableHeader(r)
		if (h == nil) == (err == nil) || (err != nil && !errors.Is(err, contract.ErrNotTransportable)) {
			t.Errorf("ReadTransportableHeader = %+v, %v", h, err)
		}
		if left, err := io.Copy(io.Discard, r); err != nil || left > int64(len(raw)) {
			t.Errorf("%d bytes left, %v", left, err)
		}
	})
}
