// Package cli is the command line of the tool for releases.
package cli
