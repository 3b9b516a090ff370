// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// refused writes the termination message of a pod in which no task could run.
func refused(o *options, err error) {
	message := contract.TerminationMessage{
		Failure: &contract.Failure{Reason: contract.ReasonPlanInvalid, Message: err.Error()},
	}
	if o.plan != nil {
		tasks := len(o.plan.Tasks)
		if o.plan.Parallel {
			tasks = 1
			if o.index >= 0 && o.index < len(o.plan.Tasks) {
				message.Node = &o.plan.Tasks[o.index].NodeID
			}
		}
		message.States = slices.Repeat([]contract.TaskState{contract.TaskCancelled}, tasks)
	}
	leave(o, &message)
}

// leave writes the termination message. The manifest has the same facts, so an error
// does not fail the pod.
func leave(o *options, message *contract.TerminationMessage) {
	raw, err := contract.EncodeTerminationMessage(message)
	if err == nil {
		err = writeTermination(o, raw)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "runner: writing the termination message:", err)
	}
}

func writeTermination(o *options, raw []byte) error {
	flags := os.O_WRONLY | os.O_TRUNC
	if o.createTermination {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(o.termination, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}
