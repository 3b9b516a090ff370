package process

// Hold keeps the reaper from collecting processes until the returned function is
// called. No process can be started meanwhile.
func (r *Reaper) Hold() (release func()) {
	r.mu.Lock()
	return r.mu.Unlock
}

// Children and ChildrenByParent are the two ways to list the children of this process.
var (
	Children         = children
	ChildrenByParent = childrenByParent
)
