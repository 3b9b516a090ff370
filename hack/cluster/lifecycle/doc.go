// Package lifecycle brings clusters up and down and tells how they are.
//
//	absent --up--> starting --ready--> up --down--> absent
//	                  |                              ^
//	                  +--failed (logs are kept)--down or up
//
// The file cluster.json is written before anything is started and says, once
// everything is ready, that the cluster is up. A folder without that file is
// nobody's cluster and is never cleared.
package lifecycle
