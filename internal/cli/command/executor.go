package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/bridge"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
)

func (a *app) executorCommand() *cobra.Command {
	options := bridge.Options{Version: version.String(), Log: a.Err, Objects: remoteObjects(), Signer: &s3.Signer{}}
	var untilEOF bool
	cmd := &cobra.Command{
		Use:   "executor --listen unix:///PATH",
		Short: "Serve the executor to a dispatcher of another language, over a Unix socket",
		Long: a.text(`Serve the executor to a dispatcher of another language, over a Unix socket.

Covalent's plugin starts this by itself. Whoever can open the socket acts as its
user, so it is that user's alone (mode 0600). Requests name their own kubeconfig,
context and namespace. With --callback-hosts, the ends of groups that ask for it
are told to those hosts; --namespace then names one to watch from the start.`),
		Example: a.text("  {cmd} executor --listen unix:///run/user/1000/taskgroup.sock"),
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := options.Validate(); err != nil {
				return misused("%w", err)
			}
			if len(options.CallbackHosts) > 0 {
				options.CallbackClusters = namedCluster(cmd)
			}
			ctx := cmd.Context()
			if untilEOF {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
				go func() {
					// A parent that is killed closes its end too.
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
	cmd.Flags().StringSliceVar(&options.CallbackHosts, "callback-hosts", nil, "hosts that may be told of ends, as host or host:port; none by default")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends, and so with the process that started this")
	_ = cmd.MarkFlagRequired("listen")
	return cmd
}

// namedCluster is the one that the flags name; none where they do not.
func namedCluster(cmd *cobra.Command) []executor.ClusterSettings {
	var settings executor.ClusterSettings
	for name, value := range map[string]*string{"kubeconfig": &settings.Kubeconfig, "context": &settings.Context, "namespace": &settings.Namespace} {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			*value = flag.Value.String()
		}
	}
	if settings == (executor.ClusterSettings{}) {
		return nil
	}
	return []executor.ClusterSettings{settings}
}
