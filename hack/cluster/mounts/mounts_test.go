// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const table = `22 1 0:21 / / rw - ext4 /dev/root rw
30 22 0:30 / /x/a/kubelet/pods/1/volumes/token rw - tmpfs tmpfs rw
31 22 0:31 / /x/ab/kubelet rw - tmpfs tmpfs rw
32 22 0:32 / /x/a/run\040dir rw - overlay overlay rw
33 30 0:33 / /x/a/kubelet/pods/1/volumes/token/inner rw - tmpfs tmpfs rw
`

func TestPointsBelow(t *testing.T) {
	want := []string{"/x/a/kubelet/pods/1/volumes/token/inner", "/x/a/run dir", "/x/a/kubelet/pods/1/volumes/token"}
	if diff := cmp.Diff(want, pointsBelow(table, "/x/a")); diff != "" {
		t.Errorf("pointsBelow (-want +got):\n%s", diff)
	}
}

func TestUnmountBelowAnEmptyFolder(t *testing.T) {
	if err := UnmountBelow(t.TempDir()); err != nil {
		t.Error(err)
	}
}
