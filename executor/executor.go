// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/presign"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Config is what an Executor is made of.
type Config struct {
	Options Options
	// Cluster is where TaskGroups are created. Executors share it: that is what
	// makes one watch serve all their groups.
	Cluster *Cluster
	// Dispatcher answers requests about the job at hand. Without one nothing is recorded
	// and no cancellation is requested.
	Dispatcher Dispatcher
	// Objects reads manifests; files of this machine if nil.
	Objects results.ObjectReader
	// Resends announces that the caller repeats a Send that was ErrUnavailable, and
	// cancels the group when it gives up. Without it, such a Send cancels the group
	// that it may have created: it would run without an owner.
	Resends bool
	// Warn receives the problems of a Receive that do not change its result; they are
	// dropped if it is nil.
	Warn func(error)
	// Signer makes the signed URLs of Options.Presign; without one they are
	// ErrConfiguration.
	Signer presign.Signer
	// Stores are written to by Send, if a group has too many arguments for a TaskGroup;
	// such a group is ErrInvalid without them.
	Stores map[string]store.Backend
}

// Executor implements Covalent's AsyncBaseExecutor
// (covalent/executor/base.py) over TaskGroups. It is cheap to make, keeps no
// state, and is safe for concurrent use.
type Executor struct {
	options    Options
	cluster    *Cluster
	dispatcher Dispatcher
	results    *results.Reader
	signer     presign.Signer
	stores     map[string]store.Backend
	resends    bool
}

// New makes an Executor. It sends no requests.
func New(config Config) (*Executor, error) {
	if err := config.Options.Validate(); err != nil {
		return nil, err
	}
	if config.Cluster == nil {
		return nil, errorf(ErrConfiguration, "an executor needs a cluster")
	}
	e := &Executor{options: config.Options, cluster: config.Cluster, dispatcher: config.Dispatcher, signer: config.Signer, stores: config.Stores, resends: config.Resends}
	e.results = &results.Reader{Objects: config.Objects, Cache: &config.Cluster.cache, CacheDir: e.cacheDir, Warn: config.Warn}
	if e.results.Warn == nil {
		e.results.Warn = func(error) {}
	}
	if e.results.Objects == nil {
		e.results.Objects = e.files()
	}
	return e, nil
}

func (e *Executor) files() results.Files { return results.Files{LocalPaths: e.options.LocalPaths} }

// cacheDir is where this machine keeps what the dispatcher fetches from it.
func (e *Executor) cacheDir() (string, error) {
	if e.options.CacheDir != "" {
		dir, err := results.ExpandHome(e.options.CacheDir)
		if err != nil {
			return "", errorf(ErrConfiguration, "%w", err)
		}
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", errorf(ErrConfiguration, "no cache folder: set cache_dir: %w", err)
	}
	return filepath.Join(dir, "taskgroup"), nil
}

// assetsOf are URIs by node, as the API and pods have them; an empty URI is an
// object that was not uploaded.
func (e *Executor) assetsOf(uris map[contract.NodeID]string) v1alpha1.AssetURIs {
	var assets v1alpha1.AssetURIs
	for node, uri := range uris {
		if uri == "" {
			continue
		}
		if assets == nil {
			assets = make(v1alpha1.AssetURIs, len(uris))
		}
		assets[nodeKey(node)] = v1alpha1.AssetURI(e.podURI(uri))
	}
	return assets
}
