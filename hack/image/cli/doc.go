// Package cli is the command line of the image tool.
package cli
