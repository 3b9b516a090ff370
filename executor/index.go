// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// maxInline is how many args, kwargs and inputs a TaskGroup has itself. Every write of
// the object passes all of them through the API server and every watch.
const maxInline = 256

// moveToIndex writes the args, kwargs and inputs of a group to an object beside its
// functions, if they are too many for a TaskGroup. The object is named by its content.
func (e *Executor) moveToIndex(ctx context.Context, spec *v1alpha1.TaskGroupSpec) error {
	index := indexOf(spec)
	count := len(index.Inputs)
	for i := range index.Tasks {
		count += len(index.Tasks[i].Args) + len(index.Tasks[i].Kwargs)
	}
	if count <= maxInline {
		return nil
	}
	raw, err := contract.EncodeIndex(index)
	if err != nil {
		return errorf(ErrInvalid, "%w", err)
	}
	if e.options.Assets == "" || e.stores == nil {
		return errorf(ErrInvalid, "the group has %d arguments and inputs, more than %d need assets, below which a list of them is put", count, maxInline)
	}
	sum := sha256.Sum256(raw)
	digest := hex.EncodeToString(sum[:])
	uri := e.contentURI(spec.DispatchID, digest)
	if _, err := store.New(e.stores).Put(ctx, uri, bytes.NewReader(raw)); err != nil {
		if store.IsPermanent(err) {
			return errorf(ErrStoreRefused, "writing the list of %d arguments: %w", count, err)
		}
		return errorf(ErrUnavailable, "writing the list of %d arguments: %w", count, err)
	}
	for i := range spec.Tasks {
		spec.Tasks[i].Args, spec.Tasks[i].Kwargs = nil, nil
	}
	spec.Assets.Inputs = nil
	spec.Assets.Index = &v1alpha1.ObjectReference{URI: v1alpha1.AssetURI(e.podURI(uri)), Size: int64(len(raw)), SHA256: digest}
	return nil
}

// contentURI is where an object of a dispatch is that is named by its content.
func (e *Executor) contentURI(dispatchID, digest string) string {
	assets := strings.TrimRight(e.files().LocalURI(e.options.Assets), "/")
	if namespace, ok := strings.CutPrefix(assets, contract.GatewayScheme+"://"); ok {
		return contract.GatewayContentURI(namespace, digest)
	}
	return assets + "/" + dispatchID + "/" + digest + ".json"
}

func indexOf(spec *v1alpha1.TaskGroupSpec) *contract.Index {
	index := &contract.Index{Inputs: make(map[contract.NodeID]string, len(spec.Assets.Inputs))}
	for key, uri := range spec.Assets.Inputs {
		if node, err := strconv.ParseInt(key, 10, 64); err == nil { // Send made the keys of nodes
			index.Inputs[contract.NodeID(node)] = string(uri)
		}
	}
	for i := range spec.Tasks {
		task := &spec.Tasks[i]
		if len(task.Args)+len(task.Kwargs) == 0 {
			continue
		}
		indexed := contract.IndexTask{NodeID: contract.NodeID(task.NodeID)}
		for _, node := range task.Args {
			indexed.Args = append(indexed.Args, contract.NodeID(node))
		}
		for name, node := range task.Kwargs {
			if indexed.Kwargs == nil {
				indexed.Kwargs = make(map[string]contract.NodeID, len(task.Kwargs))
			}
			indexed.Kwargs[name] = contract.NodeID(node)
		}
		index.Tasks = append(index.Tasks, indexed)
	}
	return index
}
