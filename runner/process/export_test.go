// SPDX-License-Identifier: Apache-2.0

package process

// Hold keeps the reaper from collecting processes until the returned function is
// called. No process can be started meanwhile.
func (r *Reaper) Hold() (release func()) {
	r.mu.Lock()
	return r.mu.Unlock
}

// ChildrenByParent lists the children of a process without lists of the kernel.
var ChildrenByParent = childrenByParent
