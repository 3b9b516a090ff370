// SPDX-License-Identifier: Apache-2.0

package presign

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// maxSeconds is the longest validity of a URL of Signature Version 4.
	maxSeconds = 7 * 24 * 60 * 60
	// maxSigned bounds the URLs of a group, so that they fit in a Secret: with keys as
	// short as the runner's they take 40 bytes each.
	maxSigned = 20_000
)

// Signer makes URLs that need no credentials of the store, with its own.
type Signer interface {
	// Sign returns a URL for each permission, valid for lifetime or for a shorter
	// time, and until when they are valid. The endpoint, if any, takes the place of the
	// one that is configured. Errors contain no URL.
	Sign(ctx context.Context, endpoint string, lifetime time.Duration, permissions []contract.Permission) (urls []string, until time.Time, err error)
}

// Settings are the options of an executor that concern signed URLs.
type Settings struct {
	// Outputs is the URI below which results are written.
	Outputs string
	// Endpoint is the URL by which pods reach the store, if it differs from the signer's.
	Endpoint string
	// Seconds is how long the URLs are valid; the maximum if 0.
	Seconds int64
}

// Validate returns the first invalid setting.
func (s Settings) Validate() error {
	switch endpoint, err := url.Parse(s.Endpoint); {
	case !isS3(s.Outputs):
		return errors.New("presign is for assets and outputs that are s3://bucket/…")
	case s.Seconds < 0 || s.Seconds > maxSeconds:
		return fmt.Errorf("presign_seconds is %d: from 1 to %d, seven days, which is the most that a signed URL may have", s.Seconds, maxSeconds)
	case err != nil || endpoint.User != nil || s.Endpoint != "" && (endpoint.Host == "" || endpoint.RawQuery != ""):
		return errors.New("presign_endpoint: want a URL of a host, without a user and a query")
	}
	return nil
}

// URLs are signed URLs and what they permit.
type URLs struct {
	permissions []contract.Permission
	urls        []string
	until       time.Time
}

// CheckSize returns an error if a group needs more URLs than fit in a Secret. It is
// checked before anything is created.
func CheckSize(tg *v1alpha1.TaskGroup) error {
	if n := len(inputPermissions(&tg.Spec)) + len(outputPermissions(tg)); n > maxSigned {
		return fmt.Errorf("presign: the group needs %d signed URLs, at most %d fit in a Secret: send fewer tasks in one group, or lower retries or infrastructure_retries (%d attempts)",
			n, maxSigned, attemptsOf(&tg.Spec))
	}
	return nil
}

// SignInputs signs URLs for the objects that a group reads. Its outputs are below its
// UID, so that only a group that was created has URLs for them.
func (s Settings) SignInputs(ctx context.Context, signer Signer, tg *v1alpha1.TaskGroup) (*URLs, error) {
	return s.sign(ctx, signer, inputPermissions(&tg.Spec))
}

// SignOutputs signs URLs for the objects that a group may write.
func (s Settings) SignOutputs(ctx context.Context, signer Signer, tg *v1alpha1.TaskGroup) (*URLs, error) {
	return s.sign(ctx, signer, outputPermissions(tg))
}

func (s Settings) sign(ctx context.Context, signer Signer, permissions []contract.Permission) (*URLs, error) {
	lifetime := time.Duration(s.Seconds) * time.Second
	if lifetime == 0 {
		lifetime = maxSeconds * time.Second
	}
	urls, until, err := signer.Sign(ctx, s.Endpoint, lifetime, permissions)
	if err != nil {
		return nil, fmt.Errorf("signing URLs for the pods: %w", err)
	}
	return &URLs{permissions, urls, until}, nil
}
