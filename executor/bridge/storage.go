// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// StorageRequest requests where the objects of an executor without assets are.
type StorageRequest struct {
	Executor executor.Options `json:"executor"`
}

// StorageResponse has the values of the options assets and outputs.
type StorageResponse struct {
	Assets  string `json:"assets"`
	Outputs string `json:"outputs"`
}

func (s *server) storage(ctx context.Context, r *StorageRequest) (*StorageResponse, error) {
	e, err := s.executor(executor.Config{Options: r.Executor}, nil)
	if err != nil {
		return nil, err
	}
	assets, outputs, err := e.Storage(ctx)
	if err != nil {
		return nil, err
	}
	return &StorageResponse{Assets: assets, Outputs: outputs}, nil
}
