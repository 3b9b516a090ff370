// Package objectpath parses the paths of the gateway's objects.
package objectpath
