// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// indexURI is the URI of the only object of the tests.
var indexURI = contract.GatewayContentURI("team", strings.Repeat("a", 64))

// reader reads an index with a text, and counts how often it is opened.
func reader(text string, opened *int) *Reader {
	return New(func(l objectpath.Location) (io.ReadCloser, error) {
		*opened++
		if l.URI() != indexURI {
			return nil, volume.ErrNotFound
		}
		return io.NopCloser(strings.NewReader(text)), nil
	})
}

func output(n int) string { return fmt.Sprintf("gateway://team/groups/uid-%d/a1/3/output", n) }

func TestNames(t *testing.T) {
	inputs := map[contract.NodeID]string{}
	for n := range 10_000 {
		inputs[contract.NodeID(n)] = output(n)
	}
	inputs[20_000] = "s3://bucket/key"
	raw, err := contract.EncodeIndex(&contract.Index{Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	r := reader(string(raw), &opened)
	for uri, want := range map[string]bool{
		output(0): true, output(9_999): true, output(10_000): false, "s3://bucket/key": false, indexURI: false, "": false,
	} {
		if got, err := r.Names(indexURI, uri); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", uri, got, err, want)
		}
	}
	if opened != 1 {
		t.Errorf("the index was read %d times", opened)
	}
}

func tooMany() string {
	var text strings.Builder
	text.WriteString("[")
	for n := range maxNames {
		fmt.Fprintf(&text, "%q,", output(n))
	}
	return text.String() + `"` + output(-1) + `"]`
}

func TestIndexesThatNameNothing(t *testing.T) {
	valid := `{"inputs":{"1":"` + output(1) + `"}}`
	for name, tc := range map[string]struct{ index, text string }{
		"missing":      {contract.GatewayContentURI("team", strings.Repeat("b", 64)), valid},
		"a result":     {output(1), valid},
		"another URI":  {"s3://bucket/index", valid},
		"a bad path":   {"gateway://team/content/../x", valid},
		"no JSON":      {indexURI, "what?"},
		"cut at once":  {indexURI, `{"inputs":`},
		"another type": {indexURI, `[1, true, null]`},
		"too large":    {indexURI, tooMany()},
	} {
		t.Run(name, func(t *testing.T) {
			opened := 0
			if got, err := reader(tc.text, &opened).Names(tc.index, output(1)); err != nil || got {
				t.Errorf("%t, %v", got, err)
			}
		})
	}
}

// TestIndexThatCannotBeRead: a volume that fails refuses no caller, and no garbage is
// collected meanwhile.
func TestIndexThatCannotBeRead(t *testing.T) {
	r := New(func(objectpath.Location) (io.ReadCloser, error) { return nil, volume.ErrUnavailable })
	if _, err := r.Names(indexURI, output(1)); !errors.Is(err, volume.ErrUnavailable) {
		t.Errorf("Names: %v", err)
	}
	if err := r.Each(indexURI, func(string) error { return nil }); !errors.Is(err, volume.ErrUnavailable) {
		t.Errorf("Each: %v", err)
	}
}
