// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/check"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/backends"
)

// checkRetryTimeout is how long a check retries: the user waits for it.
const checkRetryTimeout = 10 * time.Second

// checkPod prints the report of a check and returns its exit code.
func checkPod(ctx context.Context, args []string) (int, error) {
	var request contract.CheckRequest
	if err := json.Unmarshal([]byte(args[0]), &request); err != nil {
		return 0, fmt.Errorf("reading the request: %w", err)
	}
	stores := store.New(backends.All())
	stores.RetryTimeout = checkRetryTimeout
	report := check.Run(ctx, stores, &request)
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return 0, fmt.Errorf("printing the report: %w", err)
	}
	return int(report.Exit()), nil
}
