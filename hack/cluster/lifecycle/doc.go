// SPDX-License-Identifier: Apache-2.0

// Package lifecycle brings clusters up and down and reports how they are.
//
//	absent --up--> starting --ready--> up --down--> absent
//	                  |                              ^
//	                  +--failed (logs are kept)--down or up
//
// The file cluster.json is written before anything is started and records, once
// everything is ready, that the cluster is up. A folder without that file is
// not a cluster and is never cleared.
package lifecycle
