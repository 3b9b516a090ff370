// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// scraper reads the operator's metrics as Prometheus would: over HTTPS, with a
// token of an account that config/rbac lets read them.
type scraper struct {
	address, token string
	client         http.Client
}

// newScraper makes the account; the operator is to serve at the address.
func (a *arena) newScraper(ctx context.Context) (*scraper, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "scraper"}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-scraper"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "taskgroup-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	}
	for _, object := range []client.Object{account, binding} {
		if err := a.Client.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("creating the scraper's account: %w", err)
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(2 * time.Hour / time.Second))}}
	if err := a.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, fmt.Errorf("asking for the scraper's token: %w", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("finding a port: %w", err)
	}
	defer free.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // The operator signs its own certificate, and nothing secret is read.
	}}
	return &scraper{address: free.Addr().String(), token: request.Status.Token, client: http.Client{Transport: transport}}, nil
}

// reconciles is how often the operator has looked at a group.
func (s *scraper) reconciles(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+"/metrics", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("reading the operator's metrics: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	return sumOf(&s.client, request, "controller_runtime_reconcile_total")
}

// sumOf reads a page of metrics and adds up all series of one.
func sumOf(client *http.Client, request *http.Request, name string) (sum float64, err error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("reading %s: %s", name, response.Status)
	}
	found := false
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if of, _, _ := strings.Cut(series, "{"); of != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", name, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, errors.Join(fmt.Errorf("reading %s: there is none", name), lines.Err())
	}
	return sum, nil
}
