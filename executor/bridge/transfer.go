// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// UploadRequest copies a file of this machine to a store.
type UploadRequest struct {
	Executor executor.Options `json:"executor"`
	// Path is absolute.
	Path string `json:"path"`
	// URI is the object's. An object that exists is replaced: clients name objects by
	// their content.
	URI string `json:"uri"`
}

// UploadResponse is the record of the object.
type UploadResponse struct {
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// DownloadRequest copies an object to a file of this machine.
type DownloadRequest struct {
	Executor executor.Options `json:"executor"`
	URI      string           `json:"uri"`
	// Size and SHA256 are the size and the digest in the object's record. Without SHA256, nothing is verified.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	// Path is absolute. The file appears as a whole, and replaces one that exists.
	Path string `json:"path"`
}

// DownloadResponse is empty.
type DownloadResponse struct{}

func (s *server) upload(ctx context.Context, r *UploadRequest) (*UploadResponse, error) {
	if err := checkTransfer(r.URI, r.Path); err != nil {
		return nil, err
	}
	file, err := os.Open(r.Path)
	if err != nil {
		return nil, invalidf("the file to be uploaded: %w", err)
	}
	defer func() { _ = file.Close() }()
	stores, err := s.storesFor(&r.Executor, r.URI)
	if err != nil {
		return nil, err
	}
	asset, err := stores.Put(ctx, r.URI, file)
	if err != nil {
		return nil, transferError(err)
	}
	return &UploadResponse{Size: asset.Size, SHA256: asset.SHA256}, nil
}

func (s *server) download(ctx context.Context, r *DownloadRequest) (*DownloadResponse, error) {
	if err := checkTransfer(r.URI, r.Path); err != nil {
		return nil, err
	}
	stores, err := s.storesFor(&r.Executor, r.URI)
	if err != nil {
		return nil, err
	}
	if r.SHA256 != "" {
		stores.Expect(contract.Asset{URI: r.URI, Size: r.Size, SHA256: r.SHA256})
	}
	dir, err := os.MkdirTemp(filepath.Dir(r.Path), ".download-")
	if err != nil {
		return nil, invalidf("the folder to download to: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	part, err := stores.Fetch(ctx, r.URI, filepath.Join(dir, "object"))
	if err != nil {
		return nil, transferError(err)
	}
	if err := os.Rename(part, r.Path); err != nil {
		return nil, fmt.Errorf("%w: %w", executor.ErrUnavailable, err)
	}
	return &DownloadResponse{}, nil
}

// storesFor returns the stores for a transfer. Only the gateway needs a cluster.
func (s *server) storesFor(options *executor.Options, uri string) (*store.Stores, error) {
	if scheme, _, _ := strings.Cut(uri, "://"); scheme != contract.GatewayScheme {
		return store.New(s.options.Stores), nil
	}
	cluster, err := s.clusters.get(settingsOf(options, nil))
	if err != nil {
		return nil, err
	}
	stores, err := s.storesOf(cluster, options)
	if err != nil {
		return nil, err
	}
	return store.New(stores), nil
}

// checkTransfer refuses files of this machine as objects: clients copy them.
func checkTransfer(uri, path string) error {
	switch {
	case strings.HasPrefix(uri, "file:"):
		return invalidf("%s is a file: copy it", uri)
	case !filepath.IsAbs(path):
		return invalidf("path %q: it must be absolute", path)
	}
	return nil
}

// transferError classifies the error of a store after its retries. One that is not
// permanent may pass: the store was unavailable for minutes.
func transferError(err error) error {
	switch {
	case errors.Is(err, gateway.ErrForbidden):
		return fmt.Errorf("%w: %w", executor.ErrForbidden, err)
	case errors.Is(err, store.ErrScheme):
		return fmt.Errorf("%w: %w", executor.ErrInvalid, err)
	case store.IsPermanent(err), errors.Is(err, store.ErrDigest):
		return fmt.Errorf("%w: %w", executor.ErrStoreRefused, err)
	}
	return fmt.Errorf("%w: %w", executor.ErrUnavailable, err)
}
