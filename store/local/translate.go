// SPDX-License-Identifier: Apache-2.0

package local

import (
	"net/url"
	"path/filepath"
	"strings"
)

// Translate returns the path on this machine of a path in the pods. The volumes map
// folders of the pods to folders of this machine; the longest one that contains the path
// is used. A path in none of them is returned as it is.
func Translate(volumes map[string]string, path string) string {
	longest, found := "", ""
	for pod, local := range volumes {
		pod = filepath.Clean(pod)
		if (path == pod || strings.HasPrefix(path, strings.TrimRight(pod, "/")+"/")) && len(pod) > len(longest) {
			longest, found = pod, local
		}
	}
	if longest == "" {
		return path
	}
	return filepath.Join(found, strings.TrimPrefix(path, longest))
}

// URI returns the URI of a path.
func URI(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }
