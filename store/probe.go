// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
)

var errOtherContent = errors.New("another pod has started to write here: only one pod may have this location")

// Probe creates a small object, to find out whether objects can be committed at a
// location before there are results to write. It succeeds if the object was created,
// or exists with the same bytes. It takes one request if the object does not exist,
// and one more if the server may ignore the condition of Commit. IsPermanent is true
// for errors that no later try avoids; they contain what a user has to change.
func (s *Stores) Probe(ctx context.Context, uri string, content []byte) error {
	_, err := s.write(uri, bytes.NewReader(content), func(backend Backend, body *Body) error {
		err := s.create(ctx, backend, uri, body, true)
		if errors.Is(err, ErrExists) {
			return fmt.Errorf("%w: %w", err, errOtherContent)
		}
		if hint := outputsHint(err); hint != "" {
			return fmt.Errorf("%w: %s", err, hint)
		}
		return err
	})
	return err
}

// outputsHint returns what a user has to change if objects cannot be created.
func outputsHint(err error) string {
	if status, ok := errors.AsType[*StatusError](err); ok {
		switch status.Code {
		case http.StatusUnauthorized:
			return "give the pod credentials for the outputs, see docs/stores.md"
		case http.StatusForbidden:
			return "allow the pod's credentials to create and to read objects below spec.assets.outputs"
		case http.StatusNotFound:
			return "create the bucket, container or folder of spec.assets.outputs, or correct its name"
		case http.StatusMethodNotAllowed, http.StatusNotImplemented:
			return "use a server that accepts PUT with If-None-Match for spec.assets.outputs"
		}
		return ""
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return "mount the volume of spec.assets.outputs without readOnly"
	case errors.Is(err, fs.ErrPermission):
		return "let the user of the pod write to spec.assets.outputs, for example by spec.pod.securityContext.fsGroup"
	case errors.Is(err, syscall.ENOTDIR):
		return "a part of the path of spec.assets.outputs is not a folder"
	case errors.Is(err, fs.ErrNotExist):
		return "mount a volume at spec.assets.outputs"
	}
	return ""
}
