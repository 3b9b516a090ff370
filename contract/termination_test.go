// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

var digest = strings.Repeat("0a", 32)

func failure(message string) *contract.Failure {
	return &contract.Failure{NodeID: new(contract.NodeID(7)), Reason: contract.ReasonTaskError, Message: message, ExitCode: new(int32(1))}
}

func TestTerminationMessageRoundTrip(t *testing.T) {
	tests := map[string]*contract.TerminationMessage{
		"completed":                 {States: []contract.TaskState{contract.TaskCompleted}, ManifestSHA256: digest},
		"a pod of a Parallel group": {Node: new(contract.NodeID(0)), States: []contract.TaskState{contract.TaskCompleted}, ManifestSHA256: digest},
		"every state": {
			States: []contract.TaskState{contract.TaskPending, contract.TaskRunning, contract.TaskCompleted, contract.TaskFailed, contract.TaskCancelled},
		},
		"failure in unicode": {
			States:  []contract.TaskState{contract.TaskFailed, contract.TaskCancelled},
			Failure: failure("ValueError: größe \"日本語\" 🙂\n<tag> & \x00"), ManifestSHA256: digest,
		},
		"the runner's own failure": {
			States: []contract.TaskState{contract.TaskCompleted}, Failure: &contract.Failure{Reason: contract.ReasonOutputUploadFailed},
		},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := contract.EncodeTerminationMessage(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := contract.DecodeTerminationMessage(string(raw), len(want.States))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTerminationMessageOnTheWire reads the messages in testdata, among them those of
// earlier releases, and encodes them to the same bytes.
func TestTerminationMessageOnTheWire(t *testing.T) {
	raw, err := os.ReadFile("testdata/termination.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixtures map[string]struct {
		Wire  json.RawMessage `json:"wire"`
		Tasks int             `json:"tasks"`
	}
	if err := json.Unmarshal(raw, &fixtures); err != nil {
		t.Fatal(err)
	}
	want := map[string]*contract.TerminationMessage{
		"completed": {States: []contract.TaskState{contract.TaskCompleted, contract.TaskCompleted}, ManifestSHA256: digest},
		"parallel":  {Node: new(contract.NodeID(0)), States: []contract.TaskState{contract.TaskCompleted}, ManifestSHA256: digest},
		"terminated": {
			States: []contract.TaskState{contract.TaskCompleted, contract.TaskCancelled},
			Failure: &contract.Failure{
				NodeID: new(contract.NodeID(7)), Reason: contract.ReasonTerminated,
				Message: "stopped because the pod received SIGTERM: exit code 0", ExitCode: new(int32(0)),
			},
			ManifestSHA256: digest,
		},
	}
	got := map[string]*contract.TerminationMessage{}
	for name, fixture := range fixtures {
		message, err := contract.DecodeTerminationMessage(string(fixture.Wire), fixture.Tasks)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got[name] = message
		if again, err := contract.EncodeTerminationMessage(message); err != nil || string(again) != string(fixture.Wire) {
			t.Errorf("%s is encoded as %s, %v", name, again, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTerminationMessageIsCutToWhatTheKubeletKeeps(t *testing.T) {
	states := make([]contract.TaskState, 256)
	for i := range states {
		states[i] = contract.TaskCancelled
	}
	for name, piece := range map[string]string{
		"ASCII": "a", "two bytes": "ü", "four bytes": "🙂", "six as JSON": "\x01", "escaped": "<\"", "no UTF-8": "\xff", "mixed": "aü🙂\x01",
	} {
		t.Run(name, func(t *testing.T) {
			message := strings.Repeat(piece, 8192)
			sent := &contract.TerminationMessage{Node: new(contract.NodeID(math.MaxInt64)), States: states, Failure: failure(message), ManifestSHA256: digest}
			raw, err := contract.EncodeTerminationMessage(sent)
			if err != nil {
				t.Fatal(err)
			}
			got, err := contract.DecodeTerminationMessage(string(raw), len(states))
			if err != nil {
				t.Fatal(err)
			}
			if got.Node == nil || *got.Node != math.MaxInt64 {
				t.Errorf("node %v", got.Node)
			}
			if len(raw) > contract.MaxTerminationMessage || sent.Failure.Message != message {
				t.Errorf("%d bytes; the caller's message has %d", len(raw), len(sent.Failure.Message))
			}
			if !utf8.ValidString(got.Failure.Message) || got.Failure.Message == "" || !strings.HasSuffix(got.Failure.Message, "…") {
				t.Errorf("cut to %q", got.Failure.Message)
			}
		})
	}
}

func TestTerminationMessageThatCannotFit(t *testing.T) {
	states := make([]contract.TaskState, contract.MaxTerminationMessage)
	if raw, err := contract.EncodeTerminationMessage(&contract.TerminationMessage{States: states, Failure: failure("x")}); err == nil {
		t.Errorf("%d bytes", len(raw))
	}
}

func TestDecodeTerminationMessageRefuses(t *testing.T) {
	tests := map[string]string{
		"nothing":       "",
		"words":         "Killed",
		"a list":        "[]",
		"no version":    `{"states":"CC"}`,
		"a later one":   `{"v":2,"states":"CC"}`,
		"too few":       `{"v":1,"states":"C"}`,
		"too many":      `{"v":1,"states":"CCC"}`,
		"unknown state": `{"v":1,"states":"C?"}`,
		"node is text":  `{"v":1,"node":"7","states":"CC"}`,
		"node is large": `{"v":1,"node":9223372036854775808,"states":"CC"}`,
		"short digest":  `{"v":1,"states":"CC","manifest":"abc"}`,
		"upper case":    `{"v":1,"states":"CC","manifest":"` + strings.Repeat("0A", 32) + `"}`,
		"too long":      `{"v":1,"states":"CC","x":"` + strings.Repeat("a", contract.MaxTerminationMessage) + `"}`,
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := contract.DecodeTerminationMessage(raw, 2); !errors.Is(err, contract.ErrNoTerminationMessage) {
				t.Errorf("DecodeTerminationMessage = %+v, %v", got, err)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	tests := map[string]struct {
		s     string
		limit int
		want  string
	}{
		"fits":                     {"größe", 7, "größe"},
		"cut":                      {"abcdef", 5, "ab…"},
		"between runes":            {"aüüü", 6, "aü…"},
		"inside a rune":            {"üüüü", 6, "ü…"},
		"four bytes":               {"🙂🙂🙂", 10, "🙂…"},
		"no room for the ellipsis": {"abcdef", 2, "ab"},
		"inside without ellipsis":  {"🙂🙂", 2, ""},
		"nothing":                  {"abc", 0, ""},
		"less than nothing":        {"abc", -1, ""},
		"room for the mark alone":  {"abcdef", 3, "…"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := contract.Truncate(test.s, test.limit); got != test.want {
				t.Errorf("Truncate(%q, %d) = %q, want %q", test.s, test.limit, got, test.want)
			}
		})
	}
}

func FuzzTruncate(f *testing.F) {
	f.Add("größe 🙂", 5)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := contract.Truncate(s, limit)
		if len(got) > max(limit, 0) || (utf8.ValidString(s) && !utf8.ValidString(got)) {
			t.Errorf("Truncate(%q, %d) = %q", s, limit, got)
		}
	})
}

func FuzzDecodeTerminationMessage(f *testing.F) {
	raw, err := contract.EncodeTerminationMessage(&contract.TerminationMessage{
		States: []contract.TaskState{contract.TaskFailed, contract.TaskCancelled}, Failure: failure("ü"), ManifestSHA256: digest,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw), 2)
	f.Add(`{"v":1,"states":""}`, 0)
	f.Add(`{"v":1,"node":7,"states":"C"}`, 1)
	f.Fuzz(func(t *testing.T, raw string, tasks int) {
		got, err := contract.DecodeTerminationMessage(raw, tasks)
		if err != nil {
			if !errors.Is(err, contract.ErrNoTerminationMessage) {
				t.Errorf("err = %v", err)
			}
			return
		}
		if len(got.States) != tasks {
			t.Errorf("%d states, want %d", len(got.States), tasks)
		}
		if again, err := contract.EncodeTerminationMessage(got); err == nil && len(again) > contract.MaxTerminationMessage {
			t.Errorf("%d bytes", len(again))
		}
	})
}
