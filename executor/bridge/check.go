// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"maps"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// maxCheck bounds the wait for the pod of a check.
	maxCheck = time.Hour
	// checkRetryTimeout is how long a check waits for a store that fails.
	checkRetryTimeout = 15 * time.Second
)

// check makes the checks of an executor. What they create is removed also if the client
// closes its connection, or the bridge stops.
func (s *server) check(ctx context.Context, r *CheckRequest) (*CheckResponse, error) {
	if r.TimeoutSeconds < 0 {
		return nil, invalidf("timeout_seconds is %g: it must not be negative", r.TimeoutSeconds)
	}
	var info contract.VersionInfo
	if r.VersionInfo != nil {
		info = *r.VersionInfo
	}
	group, err := r.Executor.CheckGroup(info)
	if err != nil {
		return nil, err
	}
	stores := s.checkedStores(&r.Executor)
	ctx, stop := stopWith(ctx, s.stopping)
	defer stop()
	report, err := doctor.Run(ctx, doctor.Config{
		Connect:    s.connectCheck(&r.Executor),
		Group:      group,
		Assets:     r.Executor.Assets,
		Outputs:    r.Executor.Outputs,
		LocalPaths: r.Executor.LocalPaths,
		Stores:     stores,
		Gateway:    func(string) (*gateway.Gateway, error) { return s.gatewayOf(&r.Executor) },
		Presign:    r.Executor.Presign,
		Dispatcher: true,
		Versions:   doctor.Versions{Python: info.Python, Cloudpickle: r.Cloudpickle},
		NoPod:      r.NoPod,
		Timeout:    min(time.Duration(r.TimeoutSeconds*float64(time.Second)), maxCheck),
	})
	if err != nil {
		return nil, err
	}
	answer := &CheckResponse{Checks: []CheckResult{}, OK: report.OK}
	for _, c := range report.Checks {
		answer.Checks = append(answer.Checks, CheckResult{Name: string(c.Name), Status: string(c.Status), Message: c.Message, Next: c.Next})
	}
	return answer, nil
}

// gatewayOf returns the gateway of the cluster of an executor.
func (s *server) gatewayOf(options *executor.Options) (*gateway.Gateway, error) {
	cluster, err := s.clusters.get(settingsOf(options, nil))
	if err != nil {
		return nil, err
	}
	return cluster.Gateway(options)
}

// checkedStores returns the stores for a check: a user waits for it. Without a cluster,
// which the check reports, they lack the gateway.
func (s *server) checkedStores(options *executor.Options) *store.Stores {
	all := maps.Clone(s.options.Stores)
	if all == nil {
		return nil
	}
	if found, err := s.gatewayOf(options); err == nil {
		all[contract.GatewayScheme] = found.Backend()
	}
	stores := store.New(all)
	stores.RetryTimeout = checkRetryTimeout
	return stores
}

// connectCheck reads the kubeconfig again: a check must not use what an earlier request
// has read.
func (s *server) connectCheck(options *executor.Options) func() (*doctor.Cluster, error) {
	return func() (*doctor.Cluster, error) {
		connection, err := withDefaults(settingsOf(options, nil), s.options.Cluster).Load()
		if err != nil {
			return nil, err
		}
		connection.Config.UserAgent = "taskgroup-check"
		return doctor.Connect(connection.Config, connection.Namespace)
	}
}
