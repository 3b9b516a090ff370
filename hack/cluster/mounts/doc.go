// Package mounts unmounts what a node left mounted below its folders.
package mounts
