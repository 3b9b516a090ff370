package executor_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestCodes pins the wire: codes are added, never changed.
func TestCodes(t *testing.T) {
	want := map[executor.Code]error{
		"Cancelled": executor.ErrCancelled, "Conflict": executor.ErrConflict, "Invalid": executor.ErrInvalid,
		"Configuration": executor.ErrConfiguration, "Unauthorized": executor.ErrUnauthorized, "Forbidden": executor.ErrForbidden,
		"NotInstalled": executor.ErrNotInstalled, "Namespace": executor.ErrNamespace, "Unavailable": executor.ErrUnavailable,
		"NotFinished": executor.ErrNotFinished, "ManifestUnavailable": executor.ErrManifestUnavailable,
		"ManifestInvalid": executor.ErrManifestInvalid, "StoreRefused": executor.ErrStoreRefused, "TaskFailed": executor.ErrTaskFailed, "Internal": executor.ErrInternal,
	}
	got := map[executor.Code]error{}
	for _, code := range executor.Codes() {
		got[code] = executor.ErrorOf(code, "words")
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	for code, err := range want {
		if back, _ := executor.CodeOf(fmt.Errorf("wrapped: %w", err)); back != code {
			t.Errorf("%v is %s, want %s", err, back, code)
		}
	}
	if code, _ := executor.CodeOf(errors.New("anything")); code != "Internal" {
		t.Errorf("an unknown error is %s", code)
	}
	if err := executor.ErrorOf("OfALaterRelease", "words"); !errors.Is(err, executor.ErrInternal) || err.Error() != "words" {
		t.Errorf("an unknown code is %v", err)
	}
}
