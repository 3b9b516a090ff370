// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTaskEnvironment(t *testing.T) {
	home := t.TempDir()
	tests := map[string]struct {
		env  []string
		cpus float64
		want []string
	}{
		"nothing is set":       {[]string{}, 0, []string{"HOME=" + home, "LOGNAME=taskgroup", "USER=taskgroup"}},
		"names of the image":   {[]string{"USER=me", "LOGNAME=you"}, 0, []string{"HOME=" + home, "LOGNAME=you", "USER=me"}},
		"empty name":           {[]string{"USER=", "LOGNAME=you"}, 0, []string{"HOME=" + home, "LOGNAME=you", "USER=taskgroup"}},
		"part of a CPU":        {[]string{}, 0.1, []string{"HOME=" + home, "LOGNAME=taskgroup", "OMP_NUM_THREADS=1", "USER=taskgroup"}},
		"several CPUs":         {[]string{}, 2.5, []string{"HOME=" + home, "LOGNAME=taskgroup", "OMP_NUM_THREADS=3", "USER=taskgroup"}},
		"threads of the image": {[]string{"OMP_NUM_THREADS=8"}, 2, []string{"HOME=" + home, "LOGNAME=taskgroup", "OMP_NUM_THREADS=8", "USER=taskgroup"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := taskEnvironment(test.env, home, test.cpus)
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWithFirst(t *testing.T) {
	tests := map[string]struct{ env, want []string }{
		"unset":                {[]string{"A=1"}, []string{"A=1", "PATH=/new"}},
		"empty":                {[]string{"PATH="}, []string{"PATH=/new"}},
		"set":                  {[]string{"PATH=/a:/b", "A=1"}, []string{"A=1", "PATH=/new:/a:/b"}},
		"first already":        {[]string{"PATH=/new:/a"}, []string{"PATH=/new:/a"}},
		"the only one already": {[]string{"PATH=/new"}, []string{"PATH=/new"}},
		"a longer name":        {[]string{"PATH=/newer"}, []string{"PATH=/new:/newer"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, withFirst(test.env, "PATH", "/new")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
