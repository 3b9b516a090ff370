// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	markerName = ".taskgroup-gateway"
	// defaultRetryTimeout is short: clients retry, too, and a gateway that stops gives
	// transfers 25 s.
	defaultRetryTimeout = 15 * time.Second
	defaultStall        = 30 * time.Second
	// maxPrefix leaves most of the 1,024 bytes of a key to the path of the object.
	maxPrefix = 128
)

// Config configures a Bucket. Zero durations are the defaults.
type Config struct {
	// URI is the URI of the bucket, or of a folder in it.
	URI string
	// Backend is the backend of the scheme of the URI.
	Backend store.Backend
	// Dir is the folder for uploads that are being received.
	Dir string
	// MaxReceived bounds the bytes of these uploads; 0 is no bound.
	MaxReceived int64
	// RetryTimeout is how long the bucket may fail to store an object; 15 s by default.
	RetryTimeout time.Duration
	// Stall is how long the bucket may take to send some bytes; 30 s by default.
	Stall time.Duration
}

// Bucket stores objects in a bucket.
type Bucket struct {
	config Config
	stores *store.Stores
	// failure is the error of the last operation if the bucket failed.
	failure atomic.Pointer[error]
	// received are the bytes of the uploads in the folder.
	received atomic.Int64
}

// New returns a Bucket. It sends no request.
func New(config Config) (*Bucket, error) {
	if err := CheckURI(config.URI); err != nil {
		return nil, err
	}
	if config.Backend == nil || config.Dir == "" {
		return nil, errors.New("the fields Backend and Dir are required")
	}
	config.URI = strings.TrimRight(config.URI, "/")
	config.RetryTimeout = cmp.Or(config.RetryTimeout, defaultRetryTimeout)
	config.Stall = cmp.Or(config.Stall, defaultStall)
	scheme, _, _ := strings.Cut(config.URI, "://")
	b := &Bucket{config: config, stores: store.New(map[string]store.Backend{scheme: config.Backend})}
	b.stores.RetryTimeout, b.stores.Stall = config.RetryTimeout, config.Stall
	return b, nil
}

// CheckURI returns an error for a URI that is not of a bucket or of a folder in it.
func CheckURI(uri string) error {
	scheme, rest, ok := strings.Cut(uri, "://")
	bucket, prefix, _ := strings.Cut(strings.TrimRight(rest, "/"), "/")
	switch {
	case !ok || scheme == "" || bucket == "":
		return errors.New("want scheme://bucket or scheme://bucket/prefix")
	case store.RedactURI(uri) != uri || strings.ContainsAny(rest, "?#"):
		return errors.New("a bucket has no user, password or query: give the credentials in the environment")
	case len(prefix) > maxPrefix:
		return fmt.Errorf("the prefix has more than %d bytes", maxPrefix)
	case strings.Contains(prefix, "//") || store.HasDotSegments(prefix):
		return errors.New("the prefix has a part that is empty or dots")
	}
	return nil
}

// Prepare creates an object, to find out whether the gateway may create objects.
func (b *Bucket) Prepare(ctx context.Context) error {
	_, err := b.stores.Commit(ctx, b.config.URI+"/"+markerName, bytes.NewReader([]byte("taskgroup-gateway\n")))
	if errors.Is(err, store.ErrExists) {
		err = nil
	}
	return b.failed(classify(err))
}

// Check returns an error if the last operation failed because of the bucket.
func (b *Bucket) Check() error {
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// failed records whether the bucket failed.
func (b *Bucket) failed(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrDenied), errors.Is(err, ErrUnconditional):
		b.failure.Store(&err)
	case err == nil, errors.Is(err, volume.ErrNotFound), errors.Is(err, volume.ErrExists):
		b.failure.Store(nil)
	}
	return err
}

// uri returns the URI of an object in the bucket.
func (b *Bucket) uri(l objectpath.Location) string {
	return b.config.URI + "/" + l.Namespace + "/" + l.Path()
}
