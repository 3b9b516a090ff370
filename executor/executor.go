package executor

import (
	"context"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/presign"
)

// Config is what an Executor is made of.
type Config struct {
	Options Options
	// Cluster is where TaskGroups are created. Executors share it: that is what
	// makes one watch serve all their groups.
	Cluster *Cluster
	// Dispatcher is asked about the job at hand. Without one nothing is recorded
	// and nobody requests a cancellation.
	Dispatcher Dispatcher
	// Objects reads manifests; files of this machine if nil.
	Objects ObjectReader
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
}

// Executor implements Covalent's AsyncBaseExecutor
// (covalent/executor/base.py) over TaskGroups. It is cheap to make, keeps no
// state, and is safe for concurrent use.
type Executor struct {
	options    Options
	cluster    *Cluster
	dispatcher Dispatcher
	objects    ObjectReader
	signer     presign.Signer
	resends    bool
	warn       func(error)
}

// New makes an Executor. It asks nobody.
func New(config Config) (*Executor, error) {
	if err := config.Options.Validate(); err != nil {
		return nil, err
	}
	if config.Cluster == nil {
		return nil, errorf(ErrConfiguration, "an executor needs a cluster")
	}
	e := &Executor{options: config.Options, cluster: config.Cluster, dispatcher: config.Dispatcher, objects: config.Objects, signer: config.Signer, resends: config.Resends, warn: config.Warn}
	if e.warn == nil {
		e.warn = func(error) {}
	}
	if e.objects == nil {
		e.objects = e.files()
	}
	return e, nil
}

// cacheDir is where this machine keeps what the dispatcher fetches from it.
func (e *Executor) cacheDir() (string, error) {
	if e.options.CacheDir != "" {
		return expandHome(e.options.CacheDir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", errorf(ErrConfiguration, "no cache folder: set cache_dir: %w", err)
	}
	return filepath.Join(dir, "taskgroup"), nil
}

// DispatchInfo is Covalent's word for the dispatch that a task belongs to
// (covalent/_shared_files/util_classes.py).
type DispatchInfo struct {
	DispatchID string
}

type dispatchKey struct{}

// GetDispatchContext returns a context in which DispatchOf finds the dispatch
// (covalent/executor/base.py, get_dispatch_context).
func (e *Executor) GetDispatchContext(ctx context.Context, info DispatchInfo) context.Context {
	return context.WithValue(ctx, dispatchKey{}, info)
}

// DispatchOf is the dispatch of GetDispatchContext.
func DispatchOf(ctx context.Context) (DispatchInfo, bool) {
	info, ok := ctx.Value(dispatchKey{}).(DispatchInfo)
	return info, ok
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
