// SPDX-License-Identifier: Apache-2.0

// Package backends has the Backends of all schemes that the programs of this project
// read and write.
package backends

import (
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// All returns the Backends by scheme. They read their credentials when they are first
// used.
func All() map[string]store.Backend {
	http, blobs := &web.Store{}, &azure.Store{}
	return map[string]store.Backend{
		"file": local.New(), "http": http, "https": http, "s3": &s3.Store{}, contract.GatewayScheme: &gateway.Store{}, "gs": &gcs.Store{}, "azblob": blobs, "blob": blobs,
	}
}
