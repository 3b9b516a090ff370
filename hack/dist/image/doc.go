// Package image makes OCI layouts: images of several architectures, Helm charts and
// artifacts that refer to them.
package image
