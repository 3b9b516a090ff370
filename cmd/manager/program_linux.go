package main

import (
	"debug/elf"
	"os"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
	ctrl "sigs.k8s.io/controller-runtime"
)

const executable = "/proc/self/exe"

// unmapProgram takes the pages of the program file out of the process. Most are
// needed once, when the types of Kubernetes' API are set up, and stay for good: 28
// of the 36 MiB of an idle operator. Those that are needed again come back from the
// system's cache of files, a fault for 16 of them.
func unmapProgram() {
	maps, err := programMaps()
	if err != nil {
		ctrl.Log.V(1).Info("the pages of the program stay in memory", "error", err.Error())
		return
	}
	for _, m := range maps {
		// A refusal leaves the pages where they are.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.StartAddr, m.EndAddr-m.StartAddr, unix.MADV_DONTNEED)
	}
}

// programMaps are the mappings of the program file that are as they are in the file:
// those that cannot be written to, in a program that is not relocated at its start.
func programMaps() ([]*procfs.ProcMap, error) {
	file, err := elf.Open(executable)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if file.Type != elf.ET_EXEC {
		return nil, nil
	}
	path, err := os.Readlink(executable)
	if err != nil {
		return nil, err
	}
	self, err := procfs.Self()
	if err != nil {
		return nil, err
	}
	all, err := self.ProcMaps()
	if err != nil {
		return nil, err
	}
	var program []*procfs.ProcMap
	for _, m := range all {
		if m.Pathname == path && m.Perms.Private && !m.Perms.Write {
			program = append(program, m)
		}
	}
	return program, nil
}
