// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/release"
)

// checkout makes a repository with one commit.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), []byte("# Changelog\n\n## 0.1.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "a"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-03-04T05:06:07Z", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

func TestSource(t *testing.T) {
	clean, dirty := checkout(t), checkout(t)
	if err := os.WriteFile(filepath.Join(dirty, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const time, commit = int64(1772600767), "0123456789abcdef0123456789abcdef01234567"
	tests := map[string]struct {
		root   string
		source source
		epoch  string
		// commit is the end of the commit, time that of Created.
		commit, err string
		time        int64
	}{
		"a checkout":                        {root: clean, time: time},
		"a checkout with changes":           {root: dirty, err: "the checkout has changes"},
		"a checkout with changes for a try": {root: dirty, source: source{allowDirty: true}, commit: "-dirty", time: time},
		"an archive":                        {root: "/", source: source{commit: commit, date: 5}, commit: commit, time: 5},
		"an archive, by the variable":       {root: "/", source: source{commit: commit}, epoch: "6", commit: commit, time: 6},
		"an archive without a commit":       {root: "/", err: "use --commit and --date"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SOURCE_DATE_EPOCH", test.epoch)
			options := release.Options{Root: test.root}
			err := test.source.read(t.Context(), &options)
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("got %v, want an error with %q", err, test.err)
			}
			if err != nil {
				return
			}
			if len(options.Commit) < 40 || !strings.HasSuffix(options.Commit, test.commit) || options.Created.Unix() != test.time {
				t.Errorf("got %s at %s", options.Commit, options.Created)
			}
		})
	}
}

// TestBuildRefuses requires that nothing is built from wrong flags.
func TestBuildRefuses(t *testing.T) {
	for name, test := range map[string]struct{ version, want string }{
		"a version without its section": {"v0.2.0", `no section "## 0.2.0"`},
		"a version that is no version":  {"2505c8e", `the version is "2505c8e"`},
	} {
		t.Run(name, func(t *testing.T) {
			root, output := checkout(t), filepath.Join(t.TempDir(), "dist")
			var stderr bytes.Buffer
			err := Run(t.Context(), []string{"build", "--version", test.version, "--root", root, "--output", output, "--python", "git"}, &stderr)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if _, err := os.Stat(output); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the output exists: %v", err)
			}
		})
	}
}

// TestKeys signs and verifies a release without images by the commands.
func TestKeys(t *testing.T) {
	dir, keys := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{"images.json": "{}", "SHA256SUMS": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a  images.json\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	private, public := filepath.Join(keys, "key"), filepath.Join(keys, "key.pub")
	var stderr bytes.Buffer
	for _, args := range [][]string{
		{"keygen", private, public}, {"verify", dir}, {"sign", "--key", private, dir}, {"verify", "--key", public, dir}, {"push", "--key", public, dir},
	} {
		if err := Run(t.Context(), args, &stderr); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	if out := stderr.String(); !strings.Contains(out, "signatures were not verified") || !strings.Contains(out, "signatures are correct") {
		t.Errorf("the output is %q", out)
	}
	if err := Run(t.Context(), []string{"verify", "--key", public, keys}, &stderr); err == nil {
		t.Error("a folder that is not a release is correct")
	}
}
