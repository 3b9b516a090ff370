// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestJobName(t *testing.T) {
	long := strings.Repeat("a.", 126) + "z"
	cases := map[string]struct {
		name    string
		uid     types.UID
		attempt int32
		want    string
	}{
		"keeps a short name":      {name: "etl", uid: "1", attempt: 1, want: "etl-6b86b273ff34-1"},
		"tells attempts apart":    {name: "etl", uid: "1", attempt: 12, want: "etl-6b86b273ff34-12"},
		"tells former from later": {name: "etl", uid: "2", attempt: 1, want: "etl-d4735e3a265e-1"},
		"replaces dots":           {name: "a.b", uid: "1", attempt: 1, want: "a-b-6b86b273ff34-1"},
		"cuts a long name":        {name: long, uid: "1", attempt: 1, want: strings.Repeat("a-", 14) + "a-6b86b273ff34-1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := JobName(tc.name, tc.uid, tc.attempt); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// FuzzJobName looks for a legal name of a TaskGroup that gives an illegal one of
// a Job, or one whose indexed pods would not fit in a host name.
func FuzzJobName(f *testing.F) {
	f.Add("etl", "6f1c", int32(1))
	f.Add("a.b-c", "", int32(9999))
	f.Add(strings.Repeat("9", 253), "x", int32(7))
	f.Fuzz(func(t *testing.T, name, uid string, attempt int32) {
		if len(validation.IsDNS1123Subdomain(name)) > 0 || attempt < 1 || attempt > 9999 {
			t.Skip("the API server refuses it")
		}
		got := JobName(name, types.UID(uid), attempt)
		if errs := validation.IsDNS1123Label(got); len(errs) > 0 {
			t.Errorf("%q is no label: %v", got, errs)
		}
		if len(got) > 52 {
			t.Errorf("%q has %d characters, at most 52", got, len(got))
		}
	})
}
