// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

const (
	// OperatorNamespace is where the operator lives.
	OperatorNamespace = "taskgroup-system"
	operatorAccount   = "taskgroup-operator"
	// OperatorUser is the operator's name in the audit log.
	OperatorUser = "system:serviceaccount:" + OperatorNamespace + ":" + operatorAccount
)

// Jobs makes the Jobs that the rig's operators make.
var Jobs = jobspec.Config{DefaultImage: "python:test", RunnerImage: "runner:test", Delivery: jobspec.ImageVolume}

// Operator is bin/manager as a process of its own.
type Operator struct {
	cmd *exec.Cmd
	// Log is the file that holds what it prints.
	Log string
}

// OperatorOptions are the settings of an Operator.
type OperatorOptions struct {
	// Proxy is what it reaches the API server through; nil for nothing.
	Proxy *Proxy
	// Namespaces are the only ones that it works for; all by default.
	Namespaces []string
	// Flags are further ones of its command line.
	Flags []string
}

// StartOperator runs the operator as its service account, so that it can do
// what config/rbac grants and nothing else.
func (c *Cluster) StartOperator(ctx context.Context) (*Operator, error) {
	return c.StartOperatorWith(ctx, OperatorOptions{})
}

// StartOperatorWith is StartOperator with settings.
func (c *Cluster) StartOperatorWith(ctx context.Context, options OperatorOptions) (*Operator, error) {
	kubeconfig, err := c.accountKubeconfig(ctx, operatorAccount, options.Proxy)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(c.Dir, "operator.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the operator's log: %w", err)
	}
	defer log.Close()
	authorities, err := c.gatewayAuthorities()
	if err != nil {
		return nil, err
	}
	flags := append([]string{
		"--runner-image=" + Jobs.RunnerImage, "--default-image=" + Jobs.DefaultImage, "--health-probe-bind-address=0",
		"--gateway-url=" + GatewayURL, "--gateway-ca-file=" + authorities,
	}, options.Flags...)
	if len(options.Namespaces) > 0 {
		flags = append(flags, "--namespaces="+strings.Join(options.Namespaces, ","))
	}
	cmd := exec.Command(cmp.Or(c.Manager, filepath.Join(c.Root, "bin", "manager")), flags...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	// The operator terminates with the test, even when the test is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	return &Operator{cmd: cmd, Log: log.Name()}, nil
}

// Kill ends the operator as a crash would.
func (o *Operator) Kill() { o.end(syscall.SIGKILL) }

// Stop ends the operator as a rollout would.
func (o *Operator) Stop() { o.end(syscall.SIGTERM) }

// Pid is the operator's process.
func (o *Operator) Pid() int { return o.cmd.Process.Pid }

// Pause stops the operator in its tracks until Resume; it keeps its connections.
func (o *Operator) Pause() { _ = o.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (o *Operator) Resume() { _ = o.cmd.Process.Signal(syscall.SIGCONT) }

func (o *Operator) end(signal syscall.Signal) {
	_ = o.cmd.Process.Signal(signal)
	_ = o.cmd.Wait()
}

// accountKubeconfig writes a kubeconfig with a token of a service account.
func (c *Cluster) accountKubeconfig(ctx context.Context, name string, proxy *Proxy) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: OperatorNamespace, Name: name}}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(2 * time.Hour / time.Second))},
	}
	if err := c.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("requesting a token of %s: %w", name, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: c.Config.CAData, CertificateAuthority: c.Config.CAFile}
	if proxy != nil {
		config.Clusters["c"] = &clientcmdapi.Cluster{Server: proxy.URL, CertificateAuthorityData: proxy.Certificate}
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	// A file for each: another one may be reading its own at this moment.
	file, err := os.CreateTemp(c.Dir, name+"-*.kubeconfig")
	if err != nil {
		return "", fmt.Errorf("writing the kubeconfig of %s: %w", name, err)
	}
	defer file.Close()
	if err := clientcmd.WriteToFile(*config, file.Name()); err != nil {
		return "", fmt.Errorf("writing the kubeconfig of %s: %w", name, err)
	}
	return file.Name(), nil
}
