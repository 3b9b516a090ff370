// SPDX-License-Identifier: Apache-2.0

// Package testkit builds the objects of tests: testkit.TaskGroup("a").Tasks(3).Obj().
package testkit
