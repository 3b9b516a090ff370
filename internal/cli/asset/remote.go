// SPDX-License-Identifier: Apache-2.0

package asset

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
)

// Fallback reads file:// objects that do not exist on this machine with another reader:
// the volumes of pods are mostly not mounted here.
type Fallback struct {
	*Mounts
	// Volumes reads what is on the volumes of pods.
	Volumes Reader
}

// Fetch reads an object here, and otherwise from the volume. An object below a mount of
// this machine is only read there.
func (f *Fallback) Fetch(ctx context.Context, uri, dest string) (string, error) {
	path, err := f.Mounts.Fetch(ctx, uri, dest)
	if !errors.Is(err, fs.ErrNotExist) || f.local(uri) != uri {
		return path, err
	}
	if parsed, parseErr := url.Parse(uri); parseErr != nil || parsed.Scheme != "file" {
		return path, err
	}
	return f.Volumes.Fetch(ctx, uri, dest)
}
