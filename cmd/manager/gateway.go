// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// gateway returns how pods reach the asset gateway. The file is read for every Job: the
// kubelet replaces it when the authorities are renewed.
func (o *Options) gateway() (*jobspec.Gateway, error) {
	if o.GatewayURL == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(o.GatewayCAFile)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(bytes.TrimSpace(raw)) == 0:
		return nil, fmt.Errorf("%s has no certificate yet: see kubectl -n taskgroup-system get pods", o.GatewayCAFile)
	case err != nil:
		return nil, fmt.Errorf("reading the certificates of the gateway: %w", err)
	case !x509.NewCertPool().AppendCertsFromPEM(raw):
		return nil, fmt.Errorf("%s has no certificate", o.GatewayCAFile)
	}
	return &jobspec.Gateway{URL: strings.TrimRight(o.GatewayURL, "/"), Authorities: string(raw)}, nil
}
