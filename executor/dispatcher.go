// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"encoding/json"
)

// Attribute is something that a dispatcher stores for a job
// (covalent_dispatcher/_core/runner_modules/executor_proxy.py).
type Attribute string

// The attributes of a job.
const (
	// CancelRequested is a boolean, to be read.
	CancelRequested Attribute = "cancel_requested"
	// VersionInfo is a contract.VersionInfo, to be read.
	VersionInfo Attribute = "version_info"
	// JobHandle is a Handle, to be written.
	JobHandle Attribute = "job_handle"
	// JobStatus is a contract.Status, to be written.
	JobStatus Attribute = "job_status"
)

// Dispatcher is what an executor requests of its user, about the job at
// hand. Covalent answers only while send and poll run.
type Dispatcher interface {
	// Get reads an attribute as JSON.
	Get(ctx context.Context, attribute Attribute) (json.RawMessage, error)
	// Put writes one; it is durable when Put returns.
	Put(ctx context.Context, attribute Attribute, value any) error
}

// GetCancelRequested reports whether the job is to be cancelled; never without a
// Dispatcher.
func (e *Executor) GetCancelRequested(ctx context.Context) (bool, error) {
	var requested bool
	err := e.ask(ctx, CancelRequested, &requested)
	return requested, err
}

func (e *Executor) ask(ctx context.Context, attribute Attribute, answer any) error {
	if e.dispatcher == nil {
		return nil
	}
	raw, err := e.dispatcher.Get(ctx, attribute)
	if err != nil {
		return errorf(ErrUnavailable, "asking the dispatcher for %s: %w", attribute, err)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return errorf(ErrInvalid, "reading the dispatcher's %s: %w", attribute, err)
	}
	return nil
}
