// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/archive"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/krew"
)

// writeArchives writes an archive of the command line for each platform, and the
// manifest of krew that has their checksums.
func (b *builder) writeArchives(context.Context) error {
	license, err := os.ReadFile(filepath.Join(b.Root, "LICENSE"))
	if err != nil {
		return fmt.Errorf("reading the licence: %w", err)
	}
	var archives []krew.Archive
	for _, target := range targets(b.Platforms) {
		if target.Program != client {
			continue
		}
		program, err := os.ReadFile(b.program(target))
		if err != nil {
			return fmt.Errorf("reading a program: %w", err)
		}
		files := []archive.File{{Name: target.File(), Mode: 0o755, Data: program}, {Name: "LICENSE", Mode: 0o644, Data: license}}
		pack, name := archive.TarGz, target.Name()+".tar.gz"
		if target.OS == "windows" {
			pack, name = archive.Zip, target.Name()+".zip"
		}
		data, err := pack(files, b.Created)
		if err != nil {
			return err
		}
		if err := b.write(name, data); err != nil {
			return err
		}
		digest := sha256.Sum256(data)
		archives = append(archives, krew.Archive{
			OS: target.OS, Arch: target.Arch, Program: target.File(),
			URL: strings.TrimRight(b.DownloadURL, "/") + "/" + name, SHA256: hex.EncodeToString(digest[:]),
		})
	}
	manifest, err := krew.Manifest(b.Tag(), archives)
	if err != nil {
		return err
	}
	return b.write("krew/taskgroup.yaml", manifest)
}
