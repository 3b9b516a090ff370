// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

var (
	// ErrUnavailable is a bucket that does not exist, or that does not respond.
	ErrUnavailable = errors.New("the bucket is unavailable; the log of the gateway has the cause")
	// ErrDenied is a bucket that refuses the credentials of the gateway.
	ErrDenied = errors.New("the bucket refuses the credentials of the gateway, which need permission to read, to create and to list objects; the log of the gateway has the cause")
	// ErrUnconditional is a bucket that replaces objects that exist.
	ErrUnconditional = errors.New("the server of the bucket replaces objects that exist; the gateway needs one that honours If-None-Match")
	// ErrFull is a bucket, or a folder for uploads, without space.
	ErrFull = errors.New("the bucket, or the gateway's folder for uploads, has no space")
	// ErrTooLarge is an object that no store accepts in one request.
	ErrTooLarge = fmt.Errorf("an object in a bucket has at most %d MiB", maxSize>>20)
)

// lost are the stores' names of the error that the bucket itself is missing. Otherwise its
// status is the status of a missing object, which clients do not retry.
var lost = []string{"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"}

// classify returns an error that matches one of this package or of package volume.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{volume.ErrBody, volume.ErrDigest, volume.ErrDamaged, volume.ErrNotFound, volume.ErrExists, ErrTooLarge, ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", kindOf(err), err)
}

// kindOf returns what an error of a store, or of the folder for uploads, means.
func kindOf(err error) error {
	status, isStatus := errors.AsType[*store.StatusError](err)
	switch {
	case errors.Is(err, store.ErrExists):
		return volume.ErrExists
	case errors.Is(err, store.ErrUnconditional):
		return ErrUnconditional
	case errors.Is(err, store.ErrNoCredentials):
		return ErrDenied
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), isStatus && status.Code == http.StatusInsufficientStorage:
		return ErrFull
	case isStatus && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden):
		return ErrDenied
	case isStatus && errors.Is(err, fs.ErrNotExist) && !isLost(status.Text):
		return volume.ErrNotFound
	}
	return ErrUnavailable
}

func isLost(text string) bool {
	for _, name := range lost {
		if strings.HasPrefix(text, name) {
			return true
		}
	}
	return false
}
