// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	gatewayAccount = "taskgroup-gateway"
	// GatewayUser is the gateway's name in the audit log.
	GatewayUser = "system:serviceaccount:" + OperatorNamespace + ":" + gatewayAccount
)

// Gateway is bin/gateway as a process of its own, with its service account.
type Gateway struct {
	// URL is the URL of the objects.
	URL string
	// Log is the file with its output.
	Log string
	// CAFile has the authorities that the gateway published.
	CAFile string

	cmd *exec.Cmd
}

// InstallGateway applies the permissions of the gateway and the objects of its
// certificates.
func (c *Cluster) InstallGateway(ctx context.Context) error {
	for _, file := range []string{"service_account", "role", "client_role", "tls"} {
		if _, err := c.Run(ctx, "apply", "-f", filepath.Join(c.Root, "config/gateway", file+".yaml")); err != nil {
			return fmt.Errorf("installing the gateway: %w", err)
		}
	}
	return nil
}

// GatewayOptions are the settings of a Gateway.
type GatewayOptions struct {
	// Dir is the folder of the objects.
	Dir string
	// Address is where it listens; a free port of the loopback interface by default.
	Address string
	// Proxy is between it and the API server; nil for none.
	Proxy *Proxy
	// Flags are further ones of its command line.
	Flags []string
}

// GatewayURL is the URL of pods, which the fake node does not run.
const GatewayURL = "https://taskgroup-gateway.taskgroup-system.svc"

// gatewayAuthorities returns a file with a certificate, which no pod uses.
func (c *Cluster) gatewayAuthorities() (string, error) {
	if c.Config.CAFile != "" {
		return c.Config.CAFile, nil
	}
	file := filepath.Join(c.Dir, "gateway-authorities.crt")
	if err := os.WriteFile(file, c.Config.CAData, 0o600); err != nil {
		return "", fmt.Errorf("writing the authorities of the gateway: %w", err)
	}
	return file, nil
}

// StartGateway runs a gateway, and waits until it is ready.
func (c *Cluster) StartGateway(ctx context.Context, options GatewayOptions) (*Gateway, error) {
	kubeconfig, err := c.accountKubeconfig(ctx, gatewayAccount, options.Proxy)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(c.Dir, "gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of the gateway: %w", err)
	}
	defer log.Close()
	address := options.Address
	if address == "" {
		if address, err = freeAddress(ctx); err != nil {
			return nil, err
		}
	}
	probes, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	flags := append([]string{"--volume=" + options.Dir, "--bind-address=" + address, "--health-probe-bind-address=" + probes, "--host-name=localhost", "--log-level=DEBUG"}, options.Flags...)
	cmd := exec.Command(filepath.Join(c.Root, "bin", "gateway"), flags...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the gateway: %w", err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cmd: cmd, URL: "https://" + net.JoinHostPort(strings.Replace(host, "127.0.0.1", "localhost", 1), port), Log: log.Name(), CAFile: filepath.Join(c.Dir, "gateway-ca.crt")}
	if err := Await(ctx, "the gateway to be ready, see "+g.Log, func(ctx context.Context) (bool, string, error) {
		return isReady(ctx, "http://"+probes+"/readyz")
	}); err != nil {
		g.Kill()
		return nil, err
	}
	var published corev1.ConfigMap
	if err := c.Client.Get(ctx, client.ObjectKey{Namespace: OperatorNamespace, Name: "taskgroup-gateway-ca"}, &published); err != nil {
		return nil, fmt.Errorf("reading the authorities of the gateway: %w", err)
	}
	// The file is replaced as the kubelet replaces it: clients may be reading it.
	next := g.CAFile + ".next"
	if err := os.WriteFile(next, []byte(published.Data["ca.crt"]), 0o600); err != nil {
		return nil, fmt.Errorf("writing the authorities of the gateway: %w", err)
	}
	return g, os.Rename(next, g.CAFile)
}

func isReady(ctx context.Context, url string) (bool, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err.Error(), nil //nolint:nilerr // it is not listening yet
	}
	return answer.StatusCode == http.StatusOK, answer.Status, answer.Body.Close()
}

// freeAddress returns an address of the loopback interface that no process uses.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Client returns a client that trusts the gateway.
func (g *Gateway) Client() (*http.Client, error) {
	raw, err := os.ReadFile(g.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}}, nil
}

// Kill ends the gateway as a crash would.
func (g *Gateway) Kill() { g.end(syscall.SIGKILL) }

// Stop ends the gateway as a rollout would.
func (g *Gateway) Stop() { g.end(syscall.SIGTERM) }

// Pid is the process of the gateway.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }

func (g *Gateway) end(signal syscall.Signal) {
	_ = g.cmd.Process.Signal(signal)
	_ = g.cmd.Wait()
}
