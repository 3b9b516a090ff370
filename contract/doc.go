// SPDX-License-Identifier: Apache-2.0

// Package contract holds the wire shapes that the parts of the operator
// exchange: the plan a pod gets, the manifest and the termination message it
// leaves behind, and Covalent's TransportableObject bytes.
//
// It imports the standard library alone, so that the runner stays small and
// another language can read the same JSON. The fixtures in testdata are read by
// the Go and the Python tests alike; a change of shape changes them.
//
//	controller --Plan-->  runner --Manifest-->            store
//	controller <--TerminationMessage-- runner
package contract
