// SPDX-License-Identifier: Apache-2.0

// Package tempgroup creates TaskGroups that exist only as long as a command needs them,
// and removes them in any case, also after a cancellation.
package tempgroup
