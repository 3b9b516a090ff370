// SPDX-License-Identifier: Apache-2.0

// Package storetest checks that every kind of store handles the same faults in the same
// way. It is for tests only.
package storetest
