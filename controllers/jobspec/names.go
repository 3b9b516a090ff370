// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxNamePrefix bounds a Job's name, and with it the host name of its pods, to less
	// than 52 characters: an Indexed Job appends up to 11, and a host name has at most
	// 63.
	maxNamePrefix = 30
	// uidDigits is the number of hexadecimal digits of the UID's hash in a name: 48 bits,
	// so that groups whose long names have the same prefix do not collide.
	uidDigits = 12
)

// JobName is the name of the Job of one attempt. It depends on the UID, so that
// a group that is deleted and recreated has another Job.
func JobName(name string, uid types.UID, attempt int32) string {
	prefix := strings.ReplaceAll(name, ".", "-")
	if len(prefix) > maxNamePrefix {
		prefix = prefix[:maxNamePrefix]
	}
	sum := sha256.Sum256([]byte(uid))
	return strings.TrimRight(prefix, "-") + "-" + hex.EncodeToString(sum[:])[:uidDigits] + "-" + strconv.Itoa(int(attempt))
}
