// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"strings"

	// The image has no files but the program: without these authorities, no certificate of
	// a public cloud would be trusted. SSL_CERT_FILE replaces them.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// storage is where the objects are.
type storage struct {
	objects server.Objects
	// check returns an error if the volume is lost, or the bucket fails.
	check func() error
	// usage is nil for a bucket.
	usage func() map[string]int64
	// space is nil for a bucket.
	space func() (volume.Space, error)
	// volume is nil for a bucket, which the garbage collection cannot list.
	volume *volume.Volume
	// loops run until the gateway stops.
	loops []func(context.Context)
	close func() error
}

func openStorage(options *Options, log *slog.Logger) (*storage, error) {
	if options.Bucket != "" {
		return openBucket(options, log)
	}
	objects, err := volume.Open(volume.Config{Dir: options.Volume, Quota: options.quota})
	if err != nil {
		return nil, err
	}
	return &storage{objects: objects, check: objects.Check, usage: objects.Usage, space: objects.Space, volume: objects, close: objects.Close}, nil
}

// openBucket does not wait for the bucket: the gateway starts, and refuses requests with a
// reason, while the bucket is unavailable.
func openBucket(options *Options, log *slog.Logger) (*storage, error) {
	// Transfers, and a few requests for the indexes of groups.
	transport.SetMaxConnections(options.MaxTransfers + 8)
	objects, err := bucket.New(bucket.Config{URI: options.Bucket, Backend: backendOf(options.Bucket), Dir: options.UploadDir, MaxReceived: options.UploadSpace})
	if err != nil {
		return nil, err
	}
	log.Info("objects are in a bucket, without quotas and garbage collection: the bucket needs a lifecycle rule that deletes old objects", "bucket", options.Bucket)
	prepare := func(ctx context.Context) {
		if err := objects.Prepare(ctx); err != nil && ctx.Err() == nil {
			log.Warn("creating an object in the bucket", "error", err.Error())
		}
	}
	return &storage{objects: objects, check: objects.Check, loops: []func(context.Context){prepare}, close: func() error { return nil }}, nil
}

// backendOf returns the Backend of the URI of a bucket; nil for other schemes.
func backendOf(uri string) store.Backend {
	scheme, _, _ := strings.Cut(uri, "://")
	switch scheme {
	case "s3":
		return &s3.Store{}
	case "gs":
		return &gcs.Store{}
	case "azblob":
		return &azure.Store{}
	}
	return nil
}
