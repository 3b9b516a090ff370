// SPDX-License-Identifier: Apache-2.0

package tunables

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// changed lists the settings that a kubelet changes, below /proc/sys.
var changed = []string{
	"vm/overcommit_memory",
	"vm/panic_on_oom",
	"kernel/panic",
	"kernel/panic_on_oops",
	"kernel/keys/root_maxkeys",
	"kernel/keys/root_maxbytes",
}

// Store keeps the settings as they were.
type Store struct {
	// File is where they are kept. It must not survive a boot.
	File string
	// Root is where the settings are.
	Root string
}

// Host is the store of this machine, in the clusters' run folder.
func Host(runRoot string) Store {
	return Store{File: filepath.Join(runRoot, "tunables.json"), Root: "/proc/sys"}
}

// Save notes the settings, unless an earlier cluster did.
func (s Store) Save() error {
	if _, err := os.Stat(s.File); err == nil {
		return nil
	}
	settings := map[string]string{}
	for _, name := range changed {
		value, err := os.ReadFile(filepath.Join(s.Root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the kernel setting %s: %w", name, err)
		}
		settings[name] = strings.TrimSpace(string(value))
	}
	data, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("encoding kernel settings: %w", err)
	}
	if err := os.WriteFile(s.File, data, 0o600); err != nil {
		return fmt.Errorf("keeping kernel settings: %w", err)
	}
	return nil
}

// Restore puts the settings back and forgets them; without any it does nothing.
func (s Store) Restore() error {
	data, err := os.ReadFile(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the kernel settings that were kept: %w", err)
	}
	var settings map[string]string
	if err := json.Unmarshal(data, &settings); err != nil {
		return fmt.Errorf("parsing %s: %w", s.File, err)
	}
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join(s.Root, name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("restoring the kernel setting %s: %w", name, err)
		}
	}
	if err := os.Remove(s.File); err != nil {
		return fmt.Errorf("forgetting kernel settings: %w", err)
	}
	return nil
}
