// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/pki"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

// readyTimeout is generous: a busy machine of two cores takes a minute.
const readyTimeout = 3 * time.Minute

// Start starts etcd and the API server, and returns when they are ready.
func Start(ctx context.Context, c Config, report *progress.Reporter) error {
	if err := c.writeFiles(); err != nil {
		return err
	}
	err := report.Step("starting etcd", func() error {
		etcd, err := c.start("etcd", c.etcdFlags())
		if err != nil {
			return err
		}
		return process.Await(ctx, etcd, readyTimeout, c.etcdIsHealthy)
	})
	if err != nil {
		return err
	}
	client, err := NewClient(c)
	if err != nil {
		return err
	}
	return report.Step("starting the API server", func() error {
		server, err := c.start("kube-apiserver", c.apiServerFlags())
		if err != nil {
			return err
		}
		return process.Await(ctx, server, readyTimeout, client.IsReady)
	})
}

// StartControllers starts the scheduler and the controller manager. It waits for
// the "default" service account: no pod can be created before that exists.
func StartControllers(ctx context.Context, c Config, report *progress.Reporter) error {
	client, err := NewClient(c)
	if err != nil {
		return err
	}
	if !c.NoScheduler {
		if _, err := c.start("kube-scheduler", c.schedulerFlags()); err != nil {
			return err
		}
	}
	return report.Step("starting the controllers", func() error {
		manager, err := c.start("kube-controller-manager", c.managerFlags())
		if err != nil {
			return err
		}
		return process.Await(ctx, manager, readyTimeout, client.HasDefaultServiceAccount)
	})
}

func (c Config) start(name string, flags []string) (*process.Running, error) {
	return process.Start(process.Spec{
		Name: name, Path: filepath.Join(c.Bin, name), Args: flags,
		Env:    []string{c.Layout.Marker(), "PATH=" + os.Getenv("PATH"), "HOME=" + c.Layout.Dir},
		LogDir: c.Layout.Logs(), PIDDir: c.Layout.PIDs(),
	})
}

// writeFiles writes the kubeconfigs of people and components.
func (c Config) writeFiles() error {
	kubeconfigs := map[string]string{
		c.Layout.Kubeconfig():                       pki.Admin,
		c.Layout.ComponentKubeconfig(pki.Manager):   pki.Manager,
		c.Layout.ComponentKubeconfig(pki.Scheduler): pki.Scheduler,
	}
	for file, user := range kubeconfigs {
		if err := pki.WriteKubeconfig(file, c.Layout.Name, c.LocalServer(), c.Layout.PKI(), user); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.auditPolicyFile(), auditPolicy, 0o644); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	return nil
}

func (c Config) etcdIsHealthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.EtcdMetrics()+"/health", nil)
	if err != nil {
		return fmt.Errorf("asking etcd for its health: %w", err)
	}
	// No proxy: this is loopback.
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return fmt.Errorf("asking etcd for its health: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("asking etcd for its health: " + response.Status)
	}
	return nil
}
