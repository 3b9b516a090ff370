// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
)

// SystemProgram is a program that comes from the distribution.
type SystemProgram struct{ Command, Package string }

// NodePrograms are what a node needs from the distribution: a container
// runtime with seccomp (which takes C libraries), kube-proxy's packet filter,
// and the tools that make the node's network namespace.
var NodePrograms = []SystemProgram{
	{Command: "runc", Package: "runc"},
	{Command: "nft", Package: "nftables"},
	{Command: "ip", Package: "iproute2"},
	{Command: "nsenter", Package: "util-linux"},
}

// Install installs the packages of the programs that are missing. With all of
// them present it does nothing and needs no privileges.
func Install(ctx context.Context, report *progress.Reporter, programs []SystemProgram) error {
	missing := missingPackages(programs, onPath)
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("looking for programs of the system: install the equivalent of these Debian packages: %s", list)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("looking for programs of the system: missing packages; run as root: apt-get install %s", list)
	}
	return report.Step("installing "+list, func() error {
		for _, args := range [][]string{
			{"update", "-q"},
			append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...),
		} {
			cmd := exec.CommandContext(ctx, "apt-get", args...)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("running apt-get %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
			}
		}
		return nil
	})
}

func missingPackages(programs []SystemProgram, present func(command string) bool) []string {
	var missing []string
	for _, program := range programs {
		if !present(program.Command) && !slices.Contains(missing, program.Package) {
			missing = append(missing, program.Package)
		}
	}
	return missing
}

// onPath also looks where Debian puts programs for root, which is often not
// on the PATH of a user.
func onPath(command string) bool {
	if _, err := exec.LookPath(command); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if _, err := os.Stat(dir + command); err == nil {
			return true
		}
	}
	return false
}
