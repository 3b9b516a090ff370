// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	volumes := map[string]string{"/data": "/mnt/data", "/data/team": "/mnt/team", "/": "/root-of-pods"}
	for path, want := range map[string]string{
		"/data/a": "/mnt/data/a", "/data": "/mnt/data", "/data/team/a": "/mnt/team/a", "/data2/a": "/root-of-pods/data2/a",
	} {
		if got := local.Translate(volumes, path); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
	if got := local.Translate(map[string]string{"/data": "/mnt"}, "/other"); got != "/other" {
		t.Errorf("/other is at %s", got)
	}
	if got := local.URI("/a b#?"); got != "file:///a%20b%23%3F" {
		t.Errorf("URI %s", got)
	}
}
