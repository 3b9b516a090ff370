// Package progress tells a person what a command is doing: one line for each
// step, with the time it took.
package progress
