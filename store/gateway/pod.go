// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// podConfig returns the configuration of a pod. The kubelet replaces the files of the
// token and of the certificates: both are read when they are needed.
func podConfig() (Config, error) {
	url, tokenFile := os.Getenv(contract.GatewayURLEnv), os.Getenv(contract.GatewayTokenEnv)
	if url == "" || tokenFile == "" {
		return Config{}, fmt.Errorf("%w for the gateway: %s and %s are not set: the operator sets them if the cluster has a gateway", store.ErrNoCredentials, contract.GatewayURLEnv, contract.GatewayTokenEnv)
	}
	caFile := os.Getenv(contract.GatewayCAEnv)
	return Config{
		URL:          strings.TrimRight(url, "/"),
		Client:       transport.PrivateClient(func() (*x509.CertPool, error) { return readAuthorities(caFile) }, dialService),
		Authenticate: func(r *http.Request) error { return authenticate(r, tokenFile) },
	}, nil
}

// authenticate adds the current token.
func authenticate(r *http.Request, file string) error {
	raw, err := os.ReadFile(file)
	token := strings.TrimSpace(string(raw))
	if err == nil && token == "" {
		err = fmt.Errorf("%s is empty", file)
	}
	if err != nil {
		return fmt.Errorf("%w for the gateway: reading the token: %w", store.ErrNoCredentials, err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// readAuthorities reads the certificates of a file; without a file, those of the system
// are used.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities of the gateway: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("reading the authorities of the gateway: no certificate in %s", file)
	}
	return pool, nil
}
