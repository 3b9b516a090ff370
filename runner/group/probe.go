// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// probe checks whether this attempt can write to its location, while inputs are
// fetched and Python starts. A location that refuses to be written would otherwise be
// noticed after hours of work.
type probe struct {
	done chan struct{}
	err  error
}

// startProbe creates the start marker of the attempt, or of one task of a Parallel
// group. There is nothing to check without outputs, or if no task is left to run.
func (r *run) startProbe(ctx context.Context) *probe {
	p := &probe{done: make(chan struct{})}
	if r.Plan.Outputs == "" || len(r.remaining()) == 0 {
		close(p.done)
		return p
	}
	go func() {
		defer close(p.done)
		uri := contract.StartMarkerURI(r.Plan.Outputs)
		if r.Plan.Parallel {
			uri = contract.TaskStartMarkerURI(r.Plan.Outputs, r.Plan.Tasks[0].NodeID)
		}
		var marker []byte
		if marker, p.err = startMarker(r.Plan); p.err == nil {
			p.err = r.Store.Probe(ctx, uri, marker)
		}
		if errors.Is(p.err, store.ErrExists) {
			// Another pod of this attempt has begun, for example before its queue stopped it.
			// Only one of them can commit the manifest.
			p.err = nil
		}
	}()
	return p
}

// startMarker states which pod began which attempt, for people who look at the store.
func startMarker(plan *contract.Plan) ([]byte, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading the pod's name: %w", err)
	}
	raw, err := json.Marshal(struct {
		UID       string    `json:"uid"`
		Attempt   int32     `json:"attempt"`
		Pod       string    `json:"pod"`
		StartTime time.Time `json:"startTime"`
	}{plan.UID, plan.Attempt, host, time.Now().UTC()})
	if err != nil {
		return nil, fmt.Errorf("encoding the start marker: %w", err)
	}
	return raw, nil
}

// unwritable waits for the result of the probe. It returns nil if the attempt can
// write its outputs.
func (r *run) unwritable(ctx context.Context) *outcome {
	select {
	case <-r.probe.done:
	case <-ctx.Done():
		return new(unfinished(ctx, "the output location was still being checked"))
	}
	if r.probe.err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return new(unfinished(ctx, "the output location was still being checked"))
	}
	return new(failed(contract.ReasonOutputUploadFailed, "the output location cannot be written: %s", r.probe.err).
		retried(retryOfUpload(r.probe.err)))
}

// canWrite reports whether the probe succeeded.
func (r *run) canWrite() bool {
	select {
	case <-r.probe.done:
		return r.probe.err == nil
	default:
		return true
	}
}

// retryOfUpload returns how the failure of an upload is retried: not at all if the
// store refuses it for good.
func retryOfUpload(err error) contract.RetryClass {
	if store.IsPermanent(err) {
		return contract.RetryNever
	}
	return ""
}

// retryOfFetch returns how the failure of a download is retried: an unavailable store
// is not the user's fault.
func retryOfFetch(err error) contract.RetryClass {
	if store.IsTransient(err) {
		return contract.RetryInfrastructure
	}
	return ""
}
