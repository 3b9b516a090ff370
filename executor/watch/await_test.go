// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/watch"
)

// TestMain has client-go list before it watches: the fake client cannot stream lists.
func TestMain(m *testing.M) {
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func newGroups(t *testing.T) *watch.Groups {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	groups := watch.New(watch.Config{Client: fake.NewClientBuilder().WithScheme(scheme).Build(), Namespace: "team"})
	t.Cleanup(func() { groups.Stop(errors.New("the test has ended")) })
	return groups
}

// TestDeletedGroupsAreFoundWhileOthersArrive: a poll is repeated with one more group
// before the group that does not exist has been doubtful for long enough.
func TestDeletedGroupsAreFoundWhileOthersArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := newGroups(t)
		polled := []watch.ID{{Name: "deleted"}}
		begun := time.Now()
		for time.Since(begun) < time.Minute {
			ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
			results, err := groups.Await(ctx, polled)
			cancel()
			if len(results) > 0 {
				if results[0].Index != 0 || results[0].State != watch.Deleted || time.Since(begun) > 6*time.Second {
					t.Errorf("after %s: %+v", time.Since(begun), results)
				}
				return
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			polled = append(polled, watch.ID{Name: fmt.Sprintf("new-%d", len(polled))})
		}
		t.Error("the group was never found to be deleted")
	})
}

// TestWhatIsKeptOfAGroupThatDoesNotExist: nothing after its poll.
func TestWhatIsKeptOfAGroupThatDoesNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := newGroups(t)
		results, err := groups.Await(t.Context(), []watch.ID{{Name: "deleted"}})
		if err != nil || results[0].State != watch.Deleted {
			t.Errorf("%+v, %v", results, err)
		}
		if kept := groups.Kept(); len(kept) > 0 {
			t.Errorf("kept are %+v", kept)
		}
	})
}
