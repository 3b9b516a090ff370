// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/executor/watch"
)

// Gateway returns the asset gateway of the cluster for the objects of its namespace. It
// makes no request.
func (c *Cluster) Gateway(options *Options) (*gateway.Gateway, error) {
	if c.api == nil {
		return nil, errorf(ErrConfiguration, "the asset gateway is reached through the API server, and this executor has no configuration of it (executor.ClusterConfig.API)")
	}
	key := [2]string{options.Gateway, options.GatewayAccount}
	c.gatewaysLock.Lock()
	defer c.gatewaysLock.Unlock()
	if known := c.gateways[key]; known != nil {
		return known, nil
	}
	made, err := gateway.New(gateway.Config{
		API: c.api, Client: c.client, Namespace: c.Namespace, Address: options.Gateway, Account: options.GatewayAccount,
	})
	if err != nil {
		return nil, errorf(ErrConfiguration, "%w", err)
	}
	if c.gateways == nil {
		c.gateways = map[[2]string]*gateway.Gateway{}
	}
	c.gateways[key] = made
	return made, nil
}

// Prefetch begins to fetch the manifest and the small outputs of a group in the gateway that
// has finished, so that Receive and the downloads after it need not wait for them. It makes
// no request for other groups, and reports no error: what it could not fetch is fetched then.
func (e *Executor) Prefetch(handle Handle) {
	tg := e.cluster.watch.Finished(watch.ID{Name: handle.Name, UID: handle.UID})
	if tg == nil || tg.Status.Manifest == nil || !contract.IsGatewayURI(tg.Spec.OutputsURI()) {
		return
	}
	if found, err := e.cluster.Gateway(&e.options); err == nil {
		found.Prefetch(results.Location(tg), tg.Status.Manifest.URI)
	}
}

// Storage returns where objects and results are, as the options Assets and Outputs. If
// neither is set, it is the asset gateway of the cluster, which must have one and accept
// the caller.
func (e *Executor) Storage(ctx context.Context) (assets, outputs string, err error) {
	if e.options.Assets != "" || e.options.Outputs != "" {
		return e.options.Assets, e.options.outputs(), nil
	}
	found, err := e.cluster.Gateway(&e.options)
	if err != nil {
		return "", "", err
	}
	err = persist(ctx, callPatience, func(ctx context.Context) error { return found.Check(ctx) })
	switch {
	case err == nil:
		return found.Assets(), found.Outputs(), nil
	case errors.Is(err, gateway.ErrNone):
		return "", "", errorf(ErrConfiguration, "%w and the executor has no assets: install it (docs/gateway.md), or set assets to a location that the pods reach too, such as s3://bucket/prefix", err)
	case errors.Is(err, gateway.ErrForbidden):
		return "", "", errorf(ErrForbidden, "%w", err)
	}
	return "", "", errorf(ErrUnavailable, "the executor has no assets, and %w", err)
}
