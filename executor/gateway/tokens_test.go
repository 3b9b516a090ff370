// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"
	"time"
)

// TestDiscardedTokens: only a token that may have expired is replaced, and never the one
// that another request has replaced it with.
func TestDiscardedTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		age           time.Duration
		refused       string
		retry, remain bool
	}{
		"an old token":     {2 * leastAge, "current", true, false},
		"a new token":      {0, "current", false, true},
		"a replaced token": {2 * leastAge, "previous", true, true},
	} {
		tokens := &tokens{current: "current", since: time.Now().Add(-tc.age)}
		if got := tokens.discard(tc.refused); got != tc.retry {
			t.Errorf("%s: retried is %t", name, got)
		}
		if remains := tokens.current != ""; remains != tc.remain {
			t.Errorf("%s: remains is %t", name, remains)
		}
	}
}
