// SPDX-License-Identifier: Apache-2.0

package covalent

import "context"

// DispatchInfo identifies the dispatch of a task
// (covalent/_shared_files/util_classes.py).
type DispatchInfo struct {
	DispatchID string
}

type dispatchKey struct{}

// GetDispatchContext returns a context in which DispatchOf finds the dispatch
// (covalent/executor/base.py, get_dispatch_context).
func GetDispatchContext(ctx context.Context, info DispatchInfo) context.Context {
	return context.WithValue(ctx, dispatchKey{}, info)
}

// DispatchOf returns the dispatch of GetDispatchContext.
func DispatchOf(ctx context.Context) (DispatchInfo, bool) {
	info, ok := ctx.Value(dispatchKey{}).(DispatchInfo)
	return info, ok
}
