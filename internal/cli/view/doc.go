// SPDX-License-Identifier: Apache-2.0

// Package view reads a TaskGroup for people: its stage, how far it is, why it
// waits, and what to do next. It is pure, and any part of a status may be missing.
package view
