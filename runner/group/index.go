// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// readIndex adds the args, kwargs and inputs of the plan's index to the plan. An index
// that cannot be used fails the first task: no task may run on other inputs than its own.
func (r *run) readIndex(ctx context.Context) {
	if r.Plan.Index == nil {
		return
	}
	plan, err := r.planWithIndex(ctx, r.Plan.Index)
	switch {
	case err == nil:
		r.Plan = plan
		r.lastReader = lastReaders(plan.Tasks)
	case errors.Is(err, errIndexInvalid), errors.Is(err, store.ErrDigest):
		r.unusable = new(failed(contract.ReasonInputInvalid, "the index of the arguments cannot be used: %s", err))
	default:
		r.unusable = new(failed(contract.ReasonInputUnavailable, "the index of the arguments cannot be read: %s", err).retried(retryOfFetch(err)))
	}
}

var errIndexInvalid = errors.New("invalid index")

func (r *run) planWithIndex(ctx context.Context, reference *contract.ObjectReference) (*contract.Plan, error) {
	r.Store.Expect(contract.Asset{URI: reference.URI, Size: reference.Size, SHA256: reference.SHA256})
	staged := stage.Start(ctx, r.Store, filepath.Join(r.WorkDir, "index"), [][]string{{reference.URI}})
	defer staged.Stop()
	path, err := staged.Path(ctx, reference.URI)
	if err != nil {
		return nil, err
	}
	raw, err := readBounded(path, contract.MaxIndex)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(reference.URI), err)
	}
	index, err := contract.DecodeIndex(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIndexInvalid, err)
	}
	plan, err := r.Plan.WithIndex(index)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIndexInvalid, err)
	}
	return plan, nil
}
