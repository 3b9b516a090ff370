// SPDX-License-Identifier: Apache-2.0

// Package jobspec renders the Job that carries out one attempt of a TaskGroup.
// It is pure: the same group, attempt and config give the same Job, byte for
// byte, so that creating it twice is creating it once.
//
// Every pod it renders passes the Pod Security level "restricted" and differs
// from the golden ones in testdata only where the TaskGroup's API lets it.
package jobspec
