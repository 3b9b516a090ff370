// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/attest"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/crdschema"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

const crdFile = "config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml"

// builder is a build in progress.
type builder struct {
	Options
	// out is the folder that becomes Output, and programs one of the compiled programs.
	out, programs string
	// boms are the bills of materials, by target.
	boms   map[Target][]byte
	images map[string]sign.Image
}

// Run builds a release. Output is replaced when all of it is complete.
func Run(ctx context.Context, options Options) (err error) {
	if err := options.Validate(); err != nil {
		return err
	}
	if err := checkOutput(options.Output); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "taskgroup-dist-")
	if err != nil {
		return fmt.Errorf("making a scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	b := &builder{Options: options, out: options.Output + ".partial", programs: scratch, boms: map[Target][]byte{}, images: map[string]sign.Image{}}
	if err := errors.Join(os.RemoveAll(b.out), os.MkdirAll(b.out, 0o755)); err != nil {
		return fmt.Errorf("making the folder of the release: %w", err)
	}
	defer os.RemoveAll(b.out)
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"programs", b.buildPrograms}, {"images", b.writeImages}, {"chart", b.writeChart}, {"install.yaml", b.writeManifest},
		{"archives", b.writeArchives}, {"schema", b.writeSchema}, {"wheels", b.writeWheels}, {"provenance and checksums", b.finish},
	} {
		options.Report(step.name)
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(options.Output), os.Rename(b.out, options.Output)); err != nil {
		return fmt.Errorf("replacing the previous release: %w", err)
	}
	return nil
}

// checkOutput refuses to replace a folder that is not a release.
func checkOutput(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("reading the previous release: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, sign.Checksums)); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s is not a release: it has no %s", dir, sign.Checksums)
	}
	return nil
}

// program is the file of a compiled program.
func (b *builder) program(target Target) string { return filepath.Join(b.programs, target.Name()) }

// write writes a file of the release.
func (b *builder) write(name string, data []byte) error {
	path := filepath.Join(b.out, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", name, err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// buildPrograms compiles all targets, and writes what they consist of.
func (b *builder) buildPrograms(ctx context.Context) error {
	for _, target := range targets(b.Platforms) {
		b.Report("  " + target.Name())
		if err := b.Build(ctx, target, b.program(target)); err != nil {
			return err
		}
		bom, err := attest.SBOM(b.program(target), target.Program, b.Tag(), b.Created)
		if err != nil {
			return err
		}
		b.boms[target] = bom
		if err := b.write("sbom/"+target.Name()+".cdx.json", bom); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) writeSchema(context.Context) error {
	crd, err := os.ReadFile(filepath.Join(b.Root, crdFile))
	if err != nil {
		return fmt.Errorf("reading the CRD: %w", err)
	}
	schemas, err := crdschema.Schemas(crd)
	if err != nil {
		return err
	}
	for name, schema := range schemas {
		if err := b.write(name, schema); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) writeWheels(ctx context.Context) error { return b.Wheels(ctx, b.out) }

// finish writes what refers to all other files.
func (b *builder) finish(context.Context) error {
	raw, err := json.MarshalIndent(b.images, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the images: %w", err)
	}
	if err := b.write(sign.Images, append(raw, '\n')); err != nil {
		return err
	}
	subjects := map[string]string{}
	err = filepath.WalkDir(b.out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if err == nil && entry.Name() == sign.Layouts {
				return fs.SkipDir
			}
			return err
		}
		name, err := filepath.Rel(b.out, path)
		if err != nil {
			return err
		}
		subjects[filepath.ToSlash(name)], err = image.FileDigest(path)
		return err
	})
	if err != nil {
		return fmt.Errorf("listing the release: %w", err)
	}
	statement, err := attest.Provenance(b.build(), subjects)
	if err != nil {
		return err
	}
	if err := b.write("provenance.intoto.json", statement); err != nil {
		return err
	}
	return sign.WriteChecksums(b.out)
}

// build is what the provenance states.
func (b *builder) build() attest.Build {
	return attest.Build{Version: b.Version, Registry: b.Registry, Commit: b.Commit, GoVersion: goVersion()}
}
