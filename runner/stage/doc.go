// Package stage brings what tasks read to this machine: all at once, each
// object a single time, and told of only to the task that needs it.
package stage
