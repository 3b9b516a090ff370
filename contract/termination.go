// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxTerminationMessage is what the kubelet keeps of a container's termination
// message, in bytes; it cuts the rest without a word (kubelet
// MaxContainerTerminationMessageLength).
const MaxTerminationMessage = 4096

// terminationVersion is the version of the TerminationMessage's shape.
const terminationVersion = 1

// TerminationMessage is the record that a runner passes to the controller through
// the pod's status. It suffices for the group's status without opening any store.
type TerminationMessage struct {
	// Node is the task that the pod of a Parallel group ran. It is nil for the pod of
	// a Sequential group, and in messages of runners that did not write it. A pod
	// whose completion index was overridden runs another task than the controller
	// expects.
	Node *NodeID
	// States are the states of the tasks, in the order of the plan.
	States []TaskState
	// Failure is the first task that failed, or the runner's own failure.
	Failure *Failure
	// ManifestSHA256 is the digest of the committed manifest, in lower-case
	// hexadecimal; empty where none was committed.
	ManifestSHA256 string
}

// Failure is why a group failed.
type Failure struct {
	// NodeID is nil if no task is the cause.
	NodeID   *NodeID `json:"node,omitempty"`
	Reason   Reason  `json:"reason"`
	Message  string  `json:"message,omitempty"`
	ExitCode *int32  `json:"exitCode,omitempty"`
	// Retry is empty unless this failure is retried in another way than others with
	// its Reason.
	Retry RetryClass `json:"retry,omitempty"`
}

// RetryClass states whether a failure is retried, if its Reason alone does not.
type RetryClass string

const (
	// RetryNever is a failure that every attempt would have, such as an output location
	// that refuses to be written.
	RetryNever RetryClass = "never"
	// RetryInfrastructure is a failure that the tasks and their inputs did not cause,
	// such as an unavailable store.
	RetryInfrastructure RetryClass = "infrastructure"
)

// terminationJSON is the form on the wire. Short, since 256 tasks share 4,096
// bytes: the states are one letter each.
type terminationJSON struct {
	Version  int      `json:"v"`
	Node     *NodeID  `json:"node,omitempty"`
	States   string   `json:"states"`
	Failure  *Failure `json:"failure,omitempty"`
	Manifest string   `json:"manifest,omitempty"`
}

// ErrNoTerminationMessage reports that a container has no message of a runner.
var ErrNoTerminationMessage = errors.New("the container left no record")

// EncodeTerminationMessage returns at most MaxTerminationMessage bytes; it cuts
// the failure's message where all would not fit.
func EncodeTerminationMessage(t *TerminationMessage) ([]byte, error) {
	wire := terminationJSON{Version: terminationVersion, Node: t.Node, Manifest: t.ManifestSHA256}
	letters := make([]byte, len(t.States))
	for i, s := range t.States {
		letters[i] = s.Letter()
	}
	wire.States = string(letters)
	if t.Failure != nil {
		failure := *t.Failure
		wire.Failure = &failure
	}
	for {
		raw, err := json.Marshal(wire)
		if err != nil {
			return nil, fmt.Errorf("encoding the termination message: %w", err)
		}
		over := len(raw) - MaxTerminationMessage
		if over <= 0 {
			return raw, nil
		}
		if wire.Failure == nil || wire.Failure.Message == "" {
			return nil, fmt.Errorf("encoding the termination message: %d bytes, at most %d", len(raw), MaxTerminationMessage)
		}
		// A byte takes at most six as JSON, so this never cuts more than is over;
		// the loop ends because the message gets shorter.
		wire.Failure.Message = Truncate(wire.Failure.Message, len(wire.Failure.Message)-max(1, over/6))
	}
}

// DecodeTerminationMessage reads the message of a container. The bytes are the
// user's to forge: anything but a well-formed message for exactly the given
// number of tasks is ErrNoTerminationMessage.
func DecodeTerminationMessage(raw string, tasks int) (*TerminationMessage, error) {
	if len(raw) == 0 {
		return nil, ErrNoTerminationMessage
	}
	if len(raw) > MaxTerminationMessage {
		return nil, fmt.Errorf("%w: %d bytes", ErrNoTerminationMessage, len(raw))
	}
	var wire terminationJSON
	if err := json.Unmarshal([]byte(raw), &wire); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTerminationMessage, err)
	}
	if wire.Version != terminationVersion {
		return nil, fmt.Errorf("%w: version %d", ErrNoTerminationMessage, wire.Version)
	}
	if len(wire.States) != tasks {
		return nil, fmt.Errorf("%w: it tells of %d tasks, the group has %d", ErrNoTerminationMessage, len(wire.States), tasks)
	}
	if !isSHA256(wire.Manifest) {
		return nil, fmt.Errorf("%w: malformed digest", ErrNoTerminationMessage)
	}
	t := &TerminationMessage{Node: wire.Node, Failure: wire.Failure, ManifestSHA256: wire.Manifest}
	for i := range len(wire.States) {
		state, ok := taskStateOf(wire.States[i])
		if !ok {
			return nil, fmt.Errorf("%w: unknown state %q", ErrNoTerminationMessage, wire.States[i])
		}
		t.States = append(t.States, state)
	}
	return t, nil
}

// isSHA256 accepts the empty digest too.
func isSHA256(s string) bool {
	if s == "" {
		return true
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

const ellipsis = "…"

// Truncate cuts s to at most limit bytes, never inside a character, and ends
// what it cut with an ellipsis where there is room for one.
func Truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	mark := ellipsis
	if limit < len(mark) {
		mark = ""
	}
	cut := limit - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:max(cut, 0)] + mark
}
