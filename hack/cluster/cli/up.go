// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/lifecycle"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
)

func (a *app) upCommand() *cobra.Command {
	var request lifecycle.Request
	var format string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster and wait until it is ready",
		Long: `Start a cluster and wait until it is ready. A cluster that is up already and was
started with the same options is left as it is and only gets the images.`,
		Example: `  cluster up --name a --image bin/manager.tar
  cluster up --name api --control-plane-only --no-scheduler --audit
  cluster up --name fast --extra-controller-manager-arg kube-api-qps=1000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.up(cmd, request, format)
		},
	}
	a.clusterFlags(cmd)
	a.cacheFlag(cmd)
	outputFlag(cmd, &format)
	flags, options := cmd.Flags(), &request.Options
	flags.StringArrayVar(&request.Images, "image", nil, "image archive to load (repeatable)")
	flags.BoolVar(&options.ControlPlaneOnly, "control-plane-only", false, "no node: needs no root, listens on loopback only")
	flags.BoolVar(&options.NoScheduler, "no-scheduler", false, "with --control-plane-only: no scheduler either")
	flags.BoolVar(&options.Audit, "audit", false, "write an audit log (level Metadata) to <dir>/audit.log")
	flags.StringArrayVar(&options.ExtraAPIServerArgs, "extra-apiserver-arg", nil,
		"further flag of the API server as key=value (repeatable)")
	flags.StringArrayVar(&options.ExtraManagerArgs, "extra-controller-manager-arg", nil,
		"further flag of the controller manager as key=value (repeatable)")
	flags.StringArrayVar(&options.ExtraSchedulerArgs, "extra-scheduler-arg", nil,
		"further flag of the scheduler as key=value (repeatable)")
	return cmd
}

func (a *app) up(cmd *cobra.Command, request lifecycle.Request, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	start := time.Now()
	var err error
	if request.Layout, err = a.layout(); err != nil {
		return err
	}
	if request.Repository, err = workspace.Find(); err != nil {
		return err
	}
	if request.Builder, err = a.builder(request.Repository); err != nil {
		return err
	}
	request.Report = a.report
	info, err := lifecycle.Up(cmd.Context(), request)
	if err != nil {
		return err
	}
	if format == formatJSON {
		return a.printJSON(info)
	}
	fmt.Fprintf(a.out, "cluster %s (Kubernetes %s) is up after %.1fs\n\n  export KUBECONFIG=%s\n  %s get nodes\n",
		info.Name, info.KubernetesVersion, time.Since(start).Seconds(), info.Kubeconfig, info.Kubectl)
	return nil
}
