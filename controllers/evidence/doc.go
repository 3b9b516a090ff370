// SPDX-License-Identifier: Apache-2.0

// Package evidence establishes what a cache alone cannot: that an attempt never had
// a Job, that the pods of a group are as observed, and that nothing of a cancelled
// group will run.
//
// A plan states a claim (plan.Claim). Before it is carried out,
//
//  1. [Collector.Collect] gathers the [Evidence] for the claim: what this process
//     recorded in its [Ledger], whether it can have missed anything ([Epochs]), and
//     live reads where that is not sufficient;
//  2. [Judge], which is pure, decides whether the claim holds;
//  3. [Fence] refuses to send a request whose evidence has become old, so that a
//     process that was stopped between the evidence and the request does no harm.
//
// In a normal run, without a cancellation, this takes no read.
//
// # Epochs
//
// A process that creates every Job itself, and observes the creation of every group, has
// a complete record of the Jobs. It can miss one if it stands still (a signal, a frozen virtual
// machine, a starved processor), because its leader election lease may expire
// unnoticed while another operator takes over: leader election does not fence. A
// heartbeat detects that, and each stall starts a new epoch. What was certain in one
// epoch has to be read again in the next one. A Job that only another operator can
// have created proves that one is active; then everything is read.
package evidence
