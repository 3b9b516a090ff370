// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/presign"
)

func (o *Options) presignSettings() presign.Settings {
	return presign.Settings{Outputs: o.outputs(), Endpoint: o.PresignEndpoint, Seconds: o.PresignSeconds}
}

func (o *Options) validatePresign() error {
	if !o.Presign {
		return nil
	}
	return asInvalid(o.presignSettings().Validate())
}

func mountURLs(tg *v1alpha1.TaskGroup) error { return asInvalid(presign.Mount(tg)) }

// signInputs signs what a group reads before there is a group: missing credentials are
// better found then.
func (e *Executor) signInputs(ctx context.Context, tg *v1alpha1.TaskGroup) (*presign.URLs, error) {
	if err := presign.CheckSize(tg); err != nil {
		return nil, asInvalid(err)
	}
	if e.signer == nil {
		return nil, errorf(ErrConfiguration, "presign: this executor cannot sign URLs")
	}
	urls, err := e.options.presignSettings().SignInputs(ctx, e.signer, tg)
	if err != nil {
		return nil, errorf(ErrConfiguration, "%w", err)
	}
	return urls, nil
}

// createURLs creates the Secret with all signed URLs of a group. A Secret that exists is
// the group's own, because its name is random.
func (e *Executor) createURLs(ctx context.Context, tg *v1alpha1.TaskGroup, inputs *presign.URLs) error {
	outputs, err := e.options.presignSettings().SignOutputs(ctx, e.signer, tg)
	if err != nil {
		return errorf(ErrConfiguration, "%w", err)
	}
	secret, err := presign.Secret(tg, inputs, outputs)
	if errors.Is(err, contract.ErrSignedURLsTooLarge) {
		return errorf(ErrInvalid, "presign: send fewer tasks in one group, or lower retries or infrastructure_retries: %w", err)
	} else if err != nil {
		return errorf(ErrInternal, "%w", err)
	}
	err = persist(ctx, sendPatience, func(ctx context.Context) error { return e.cluster.client.Create(ctx, secret.DeepCopy()) })
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return explain(fmt.Sprintf("creating Secret %s/%s for presign, which takes the role taskgroup-executor-presign", tg.Namespace, secret.Name), err)
}

func asInvalid(err error) error {
	if err == nil {
		return nil
	}
	return errorf(ErrInvalid, "%w", err)
}
