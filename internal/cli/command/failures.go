// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"strings"
)

// failures are the errors of several groups. Each is reported with its own advice.
type failures []error

// Error returns all messages, one a line.
func (f failures) Error() string {
	lines := make([]string, 0, len(f))
	for _, err := range f {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors.
func (f failures) Unwrap() []error { return f }

// joined returns the errors that are not nil as one; nil if there is none.
func joined(errs ...error) error {
	var all failures
	for _, err := range errs {
		if several, ok := errors.AsType[failures](err); ok {
			all = append(all, several...)
		} else if err != nil {
			all = append(all, err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// failuresOf returns the errors to report: one, or those of several groups. An exit
// code without an error has none, because everything is printed already.
func failuresOf(err error) failures {
	if exit, ok := err.(*exitError); ok { //nolint:errorlint // An error that wraps an exit code has a message of its own.
		if exit.err == nil {
			return nil
		}
		return failuresOf(exit.err)
	}
	several, ok := errors.AsType[failures](err)
	if !ok {
		return failures{err}
	}
	var all failures
	for _, one := range several {
		all = append(all, failuresOf(one)...)
	}
	return all
}
