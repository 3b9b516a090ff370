// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// Contents calls visit for each object that is named by its digest.
func (v *Volume) Contents(visit func(Content) error) error {
	return v.each(contract.GatewayContent, func(namespace, name string) error {
		return visit(Content{namespace, name})
	})
}

// Groups calls visit for each group that has results.
func (v *Volume) Groups(visit func(Group) error) error {
	return v.each(contract.GatewayGroups, func(namespace, name string) error {
		return visit(Group{namespace, name})
	})
}

// each calls visit for the entries of an area of each namespace.
func (v *Volume) each(area string, visit func(namespace, name string) error) error {
	root, err := v.ready()
	if err != nil {
		return err
	}
	var stopped error
	err = eachEntry(root, namespaceDir, func(namespace fs.DirEntry) error {
		return eachEntry(root, namespaceDir+"/"+namespace.Name()+"/"+area, func(entry fs.DirEntry) error {
			stopped = visit(namespace.Name(), entry.Name())
			return stopped
		})
	})
	if stopped != nil {
		return stopped
	}
	return v.failed(err)
}

// Touched returns the objects of the content that were used since the previous call.
func (v *Volume) Touched() []Content {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []Content
	for key := range v.touched {
		all = append(all, contentOf(key))
	}
	clear(v.touched)
	return all
}

// RemoveContent deletes an object, and reports whether it did. An object that is being
// transferred, or was used since the last call of Touched, is not deleted.
func (v *Volume) RemoveContent(c Content) (bool, error) {
	root, err := v.ready()
	if err != nil {
		return false, err
	}
	key := useKey(c.location())
	size, err := v.unlink(root, key)
	if err != nil || size < 0 {
		return false, err
	}
	v.free(c.Namespace, charge(size))
	return true, nil
}

// unlink deletes an unused file and returns its size, or -1. The lock excludes a
// transfer that begins.
func (v *Volume) unlink(root *os.Root, key string) (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users[key] > 0 || v.touched[key] {
		return -1, nil
	}
	info, err := root.Lstat(key)
	if err == nil {
		err = root.Remove(key)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, v.failed(err)
	}
	return info.Size(), nil
}

// RemoveGroup deletes the results of a group, and reports whether it did. Results that
// are being transferred are not deleted. The results become invisible at once: a crash
// leaves them in the temporary folder, which is emptied when the volume is opened.
func (v *Volume) RemoveGroup(g Group) (bool, error) {
	root, err := v.ready()
	if err != nil {
		return false, err
	}
	trash := temporaryDir + "/" + rand.Text()
	moved, err := v.moveUnused(root, groupDir(g.Namespace, g.UID), trash)
	if err != nil || !moved {
		return false, err
	}
	var freed int64
	err = eachFile(root, trash, func(_ string, size int64) { freed += charge(size) })
	if err = errors.Join(err, root.RemoveAll(trash)); err != nil {
		return false, v.failed(err)
	}
	v.free(g.Namespace, freed)
	return true, nil
}

// moveUnused renames a folder that no transfer uses.
func (v *Volume) moveUnused(root *os.Root, key, trash string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users[key] > 0 {
		return false, nil
	}
	err := root.Rename(key, trash)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, v.failed(err)
	}
	return true, nil
}

// State is a file of the gateway beside the objects, such as what the garbage
// collection has found so far.
type State struct {
	volume *Volume
	name   string
}

// State returns the state of a name.
func (v *Volume) State(name string) *State { return &State{v, "." + name + ".json"} }

// Load returns nil if the state was never saved.
func (s *State) Load() ([]byte, error) {
	root, err := s.volume.ready()
	if err != nil {
		return nil, err
	}
	raw, err := root.ReadFile(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.volume.Check(); err == nil {
			return nil, nil
		}
	}
	return raw, err
}

// Save replaces the state, durably and as a whole.
func (s *State) Save(raw []byte) error {
	root, err := s.volume.ready()
	if err != nil {
		return err
	}
	temporary := temporaryDir + "/" + rand.Text()
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return s.volume.failed(err)
	}
	defer func() { _ = root.Remove(temporary) }()
	_, err = file.Write(raw)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = root.Rename(temporary, s.name)
	}
	if err == nil {
		err = syncFolder(root, ".")
	}
	return s.volume.failed(err)
}
