// Package submission makes TaskGroups of what a person asks for on a command
// line. It is pure but for reading the Python file that it is given.
package submission
