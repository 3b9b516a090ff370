// SPDX-License-Identifier: Apache-2.0

// Package presign gives the pods of a group signed URLs in place of credentials of the
// store: a URL for each object that the group reads or may write, in a Secret that its
// TaskGroup mounts.
package presign
