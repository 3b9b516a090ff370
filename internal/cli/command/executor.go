// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/bridge"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
	"github.com/taskgroup-operator/taskgroup-operator/store/backends"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
)

func (a *app) executorCommand() *cobra.Command {
	options := bridge.Options{Version: version.String(), Log: a.Err, Stores: backends.All(), Signer: &s3.Signer{}}
	var untilEOF bool
	var logFile string
	cmd := &cobra.Command{
		Use:   "executor --listen unix:///PATH",
		Short: "Serve the executor to a dispatcher of another language, over a Unix socket",
		Long: a.text(`Serve the executor to a dispatcher of another language, over a Unix socket.

Covalent's plugin starts this by itself. The socket has mode 0600, because a
process that can open it acts as its user. --kubeconfig, --context and --namespace
are used by requests that name none. With --callback-hosts, the dispatcher at these
hosts is called back when groups with a callback finish; --namespace is then watched
from the start. If several dispatchers share a namespace, each bridge needs
--dispatcher, so that it calls back only for the groups of its own.`),
		Example: a.text("  {cmd} executor --listen unix:///run/user/1000/taskgroup.sock"),
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := options.Validate(); err != nil {
				return misused("%w", err)
			}
			settings := namedCluster(cmd)
			options.Cluster = settings
			if len(options.CallbackHosts) > 0 && settings != (executor.ClusterSettings{}) {
				options.CallbackClusters = []executor.ClusterSettings{settings}
			}
			if logFile != "" {
				file := &bridge.LogFile{Path: logFile, Fallback: a.Err}
				defer func() { _ = file.Close() }()
				options.Log = file
			}
			ctx := cmd.Context()
			if untilEOF {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
				go func() {
					// The kernel closes the other end if the parent is killed.
					_, _ = io.Copy(io.Discard, a.In)
					cancel()
				}()
			}
			if err := bridge.Run(ctx, options); err != nil {
				return fmt.Errorf("serving the executor: %w", err)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&options.Listen, "listen", "", "unix:///absolute/path of the socket")
	cmd.Flags().StringSliceVar(&options.CallbackHosts, "callback-hosts", nil, "hosts that may be called back when groups finish, as host or host:port; none by default")
	cmd.Flags().StringVar(&options.Dispatcher, "dispatcher", "", "call back only for groups with this value of the label kubernetes.covalent.xyz/dispatcher; all by default")
	cmd.Flags().StringVar(&logFile, "log-file", "", "append the log to a file, which is rotated at 10 MiB; standard error by default")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends, and so with the process that started this")
	_ = cmd.MarkFlagRequired("listen")
	return cmd
}

// namedCluster returns the cluster that the flags name; empty if they name none.
func namedCluster(cmd *cobra.Command) executor.ClusterSettings {
	var settings executor.ClusterSettings
	for name, value := range map[string]*string{"kubeconfig": &settings.Kubeconfig, "context": &settings.Context, "namespace": &settings.Namespace} {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			*value = flag.Value.String()
		}
	}
	return settings
}
