// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// CommitRace has several pods commit the same object at the same time: one succeeds. The
// function returns the stores of one of them. All write the same bytes, so that a
// comparison of the object cannot replace the condition.
func CommitRace(t *testing.T, stores func() *store.Stores, uri string) {
	t.Helper()
	const pods = 8
	var wg sync.WaitGroup
	var won atomic.Int32
	for range pods {
		wg.Go(func() {
			switch _, err := stores().Commit(t.Context(), uri, strings.NewReader("manifest")); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d commits succeeded", won.Load())
	}
}
