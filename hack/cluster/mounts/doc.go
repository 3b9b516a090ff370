// Package mounts makes and removes the mounts of a node.
package mounts
