// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

const (
	fileScheme = "file://"
	// content is the text of the objects that this machine writes.
	content = "An object of a check; it can be deleted.\n"
)

// errOther is an object with other bytes than were written.
var errOther = errors.New("it is not the object that was written")

// checkStore writes, reads and removes an object at each location, from this machine.
func (d *doctor) checkStore(ctx context.Context) Check {
	locations := d.locations()
	if len(locations) == 0 {
		return d.checkGateway(ctx)
	}
	for _, location := range locations {
		if check := d.missingFolder(location); check.Status != OK {
			return check
		}
		d.Progress("store: writing, reading and removing an object at " + location)
		uri := d.local(d.object(location, "here"))
		if err := d.roundTrip(ctx, uri); err != nil {
			return d.unusable(location, err)
		}
	}
	return ok("an object was written, read and removed at %s", strings.Join(locations, " and "))
}

// local returns a URI as this machine opens it.
func (c *Config) local(uri string) string {
	path, err := local.Path(uri)
	if err != nil || !strings.HasPrefix(uri, fileScheme) || len(c.LocalPaths) == 0 {
		return uri
	}
	return local.URI(local.Translate(c.LocalPaths, path))
}

// missingFolder is not OK for a location in a folder that this machine does not have:
// it must not be created on a disk that no pod mounts.
func (d *doctor) missingFolder(location string) Check {
	if !strings.HasPrefix(location, fileScheme) {
		return ok("")
	}
	path, err := local.Path(d.local(location))
	if err != nil {
		return failed("%s: %s", location, err).next("write file:///absolute/path")
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return ok("")
	}
	if err == nil {
		return failed("%s is %s on this machine, which is no folder", location, path).next("name a folder")
	}
	if location != d.Assets && location == d.outputs() {
		// Created by the first pod.
		if _, err := os.Stat(filepath.Dir(path)); err == nil {
			return ok("")
		}
	}
	if !d.Dispatcher {
		return skipped("this machine does not have %s: no volume of the pods is mounted there", path).
			next("if the volume is mounted elsewhere, name its folder with --mount /path/in/the/pods=FOLDER")
	}
	return failed("%s is %s on this machine, which does not exist: functions cannot be written", location, path).
		next("mount the volume of the pods on this machine and create the folder, set local_paths if it is mounted elsewhere, or use an object store")
}

// roundTrip writes an object, reads it and removes it.
func (d *doctor) roundTrip(ctx context.Context, uri string) error {
	if err := d.put(ctx, uri); err != nil {
		return err
	}
	text, err := d.read(ctx, uri)
	if err == nil && string(text) != content {
		err = errOther
	}
	if err != nil {
		err = fmt.Errorf("reading: %w", err)
	}
	return errors.Join(err, d.removeObject(ctx, uri))
}

func (d *doctor) put(ctx context.Context, uri string) error {
	if _, err := d.Stores.Put(ctx, uri, strings.NewReader(content)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

func (d *doctor) read(ctx context.Context, uri string) ([]byte, error) {
	folder, err := os.MkdirTemp("", objectPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a folder for an object: %w", err)
	}
	defer os.RemoveAll(folder)
	path, err := d.Stores.Fetch(ctx, uri, filepath.Join(folder, "object"))
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// removeError is an object that remains.
type removeError struct {
	uri string
	err error
}

func (e *removeError) Error() string {
	return fmt.Sprintf("removing %s: %s", store.RedactURI(e.uri), e.err)
}

func (e *removeError) Unwrap() error { return e.err }

// removeObject removes an object, also after the cancellation of ctx.
func (d *doctor) removeObject(ctx context.Context, uri string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := d.Stores.Remove(ctx, uri); err != nil {
		return &removeError{uri, err}
	}
	return nil
}

// unusable is the check of a location that refused an operation.
func (d *doctor) unusable(location string, err error) Check {
	var check Check
	removal, isRemoval := errors.AsType[*removeError](err)
	switch {
	case isRemoval && !strings.Contains(err.Error(), "reading:"):
		return warning("an object was written and read at %s, and remains: %s", location, removal).
			next("remove the object; dispatching needs no permission to delete")
	case location != d.Assets:
		check = warning("this machine cannot write at %s: %s", location, err)
	default:
		check = failed("this machine cannot use %s: %s", location, err)
	}
	switch status, _ := errors.AsType[*store.StatusError](err); {
	case errors.Is(err, store.ErrNoCredentials), status != nil && status.Code == 401:
		return check.next("give this process credentials for the store: docs/stores.md")
	case status != nil && status.Code == 403:
		return check.next("allow the credentials of this process to create and to read objects below %s", location)
	case errors.Is(err, fs.ErrNotExist):
		return check.next("create the bucket, container or folder of %s, or correct its name", location)
	case errors.Is(err, fs.ErrPermission):
		return check.next("let the user of this process write to the folder: id; ls -ld")
	case store.IsTransient(err):
		return check.next("check that the store runs and that this machine reaches it")
	}
	return check.next("correct the location, or the store: docs/stores.md")
}
