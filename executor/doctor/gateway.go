// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
)

// checkGateway checks the asset gateway of the cluster, where the objects of groups
// without a location are: this machine writes an object and reads it. The gateway removes
// it, since no TaskGroup names it for long.
func (d *doctor) checkGateway(ctx context.Context) Check {
	if d.Gateway == nil || d.cluster == nil {
		return skipped("no location is given: functions and results need one").next("name a location, such as s3://bucket/prefix, as assets or outputs")
	}
	found, err := d.Gateway(d.cluster.Namespace)
	if err != nil {
		return failed("connecting to the asset gateway: %s", err)
	}
	d.Progress("store: asking the asset gateway")
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := found.Check(bounded); err != nil {
		return d.withoutGateway(err)
	}
	d.Assets, d.Outputs, d.usesGateway = found.Assets(), found.Outputs(), true
	uri := d.gatewayObject()
	if err := d.put(ctx, uri); err != nil {
		return d.unusable(d.Assets, err)
	}
	text, err := d.read(ctx, uri)
	if err == nil && string(text) != content {
		err = errOther
	}
	if err != nil {
		return d.unusable(d.Assets, fmt.Errorf("reading: %w", err))
	}
	return ok("an object was written and read in the asset gateway, %s", d.Assets)
}

// withoutGateway judges why the gateway cannot be used. A dispatcher needs it; the command
// line runs groups without a location, too.
func (d *doctor) withoutGateway(err error) Check {
	judge := failed
	switch {
	case errors.Is(err, gateway.ErrNone), errors.Is(err, gateway.ErrForbidden) && !d.Dispatcher:
		judge = skipped
	case !d.Dispatcher:
		judge = warning
	}
	check := judge("no location is given, and %s", err)
	switch {
	case errors.Is(err, gateway.ErrNone):
		return check.next("install the gateway (docs/gateway.md), or name a location, such as s3://bucket/prefix, as assets or outputs")
	case errors.Is(err, gateway.ErrForbidden):
		return check.next("docs/gateway.md has the roles that a dispatcher needs")
	}
	return check.next("check the gateway: kubectl -n taskgroup-system get pods,pvc; kubectl -n taskgroup-system logs deployment/taskgroup-gateway")
}

// gatewayObject is the object of all checks in a namespace.
func (d *doctor) gatewayObject() string {
	sum := sha256.Sum256([]byte(content))
	return contract.GatewayContentURI(d.cluster.Namespace, hex.EncodeToString(sum[:]))
}

// gatewayAssets lets the pod read the object of the check, and makes it store its own
// results, as a group with functions does.
func (d *doctor) gatewayAssets() *v1alpha1.Assets {
	if !d.usesGateway {
		return nil
	}
	return &v1alpha1.Assets{
		Inputs:  v1alpha1.AssetURIs{"1": v1alpha1.AssetURI(d.gatewayObject())},
		Outputs: v1alpha1.AssetURI(d.Outputs),
	}
}
