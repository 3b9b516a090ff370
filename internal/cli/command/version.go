// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
)

// versions are what version prints.
type versions struct {
	Client     string `json:"client"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	API        string `json:"api"`
	Kubernetes string `json:"kubernetes,omitempty"`
}

func (a *app) versionCommand() *cobra.Command {
	var clientOnly bool
	var format output.Format
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of this program and of the cluster",
		Example: a.text("  {cmd} version --client -o json"),
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := format.Check(output.Table, output.JSON, output.YAML); err != nil {
				return misused("%w", err)
			}
			v := versions{Client: version.String(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, API: v1alpha1.GroupVersion.String()}
			var problem error
			if !clientOnly {
				v.Kubernetes, problem = a.kubernetesVersion(cmd)
			}
			if format != output.Table {
				return joined(output.Encode(a.Out, format, v), problem)
			}
			fmt.Fprintf(a.Out, "taskgroup   %s (%s, %s)\nAPI         %s\n", v.Client, v.Go, v.Platform, v.API)
			if !clientOnly {
				fmt.Fprintf(a.Out, "Kubernetes  %s\n", cmp.Or(v.Kubernetes, "unknown"))
			}
			return problem
		}),
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only the version of this program; no request is sent")
	outputFlag(cmd, &format, output.JSON, output.YAML)
	return cmd
}

func (a *app) kubernetesVersion(cmd *cobra.Command) (string, error) {
	session, err := a.session()
	if err != nil {
		return "", err
	}
	server, err := session.Version(cmd.Context())
	if err != nil {
		return "", cluster.Explain(fmt.Errorf("reading the API server's version: %w", err))
	}
	return server, nil
}
