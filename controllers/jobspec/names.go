package jobspec

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxNamePrefix keeps a Job's name, and with it the host name of its pods,
	// below 52 characters: an indexed Job appends up to 11 more, and a host name
	// has 63 at most.
	maxNamePrefix = 30
	// uidDigits is how many hexadecimal digits of the UID's hash a name has: 48
	// bits, so that groups whose long names begin alike do not collide.
	uidDigits = 12
)

// JobName is the name of the Job of one attempt. It depends on the UID, so that
// a group that is deleted and created anew has another Job.
func JobName(name string, uid types.UID, attempt int32) string {
	prefix := strings.ReplaceAll(name, ".", "-")
	if len(prefix) > maxNamePrefix {
		prefix = prefix[:maxNamePrefix]
	}
	sum := sha256.Sum256([]byte(uid))
	return strings.TrimRight(prefix, "-") + "-" + hex.EncodeToString(sum[:])[:uidDigits] + "-" + strconv.Itoa(int(attempt))
}
