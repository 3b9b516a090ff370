// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/pki"
)

// Client sends the few requests to the API server that a start needs: whether the cluster is up,
// and the creation of the objects that come with a node.
type Client struct {
	server string
	http   *http.Client
}

// NewClient returns a client with all rights.
func NewClient(c Config) (*Client, error) {
	pair, err := tls.LoadX509KeyPair(c.cert(pki.Admin), c.key(pki.Admin))
	if err != nil {
		return nil, fmt.Errorf("reading the admin's certificate: %w", err)
	}
	authority, err := os.ReadFile(c.cert(pki.AuthorityFile))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &Client{
		server: c.LocalServer(),
		http: &http.Client{
			Timeout:   5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
		},
	}, nil
}

// IsReady returns nil when the API server reports that it is ready.
func (c *Client) IsReady(ctx context.Context) error {
	_, err := c.get(ctx, "/readyz")
	return err
}

// HasDefaultServiceAccount returns nil when pods can be created.
func (c *Client) HasDefaultServiceAccount(ctx context.Context) error {
	_, err := c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
	return err
}

// nodeObject is the part of a Node that matters here.
type nodeObject struct {
	Spec struct {
		Taints []struct {
			Key string `json:"key"`
		} `json:"taints"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

// NodeIsReady returns a check that is nil when pods can run on the node: it is
// ready, and the taint that keeps pods off until then no longer exists.
func (c *Client) NodeIsReady(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := c.get(ctx, "/api/v1/nodes/"+name)
		if err != nil {
			return err
		}
		var node nodeObject
		if err := json.Unmarshal(body, &node); err != nil {
			return fmt.Errorf("parsing the node: %w", err)
		}
		return node.notReady()
	}
}

func (n nodeObject) notReady() error {
	for _, taint := range n.Spec.Taints {
		if taint.Key == "node.kubernetes.io/not-ready" {
			return errors.New("the node is still marked as not ready")
		}
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type != "Ready" {
			continue
		}
		if condition.Status == "True" {
			return nil
		}
		return errors.New("the node is not ready: " + condition.Message)
	}
	return errors.New("the node did not report yet")
}

// Create creates an object, given as YAML, in a collection such as "/api/v1/persistentvolumes".
func (c *Client) Create(ctx context.Context, collection string, manifest []byte) error {
	_, err := c.do(ctx, http.MethodPost, collection, manifest)
	return err
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("sending %s %s to the API server: %w", method, path, err)
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/yaml")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("sending %s %s to the API server: %w", method, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("sending %s %s to the API server: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("sending %s %s to the API server: %s%s", method, path, response.Status, reason(answer))
	}
	return answer, nil
}

// reason returns the message of a Status, and nothing for a response that is none.
func reason(answer []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &status) != nil || status.Message == "" {
		return ""
	}
	return ": " + status.Message
}
