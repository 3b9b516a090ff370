// Package describe tells all there is to know of one group, for a person. It is
// pure: what it tells of is handed to it.
package describe
