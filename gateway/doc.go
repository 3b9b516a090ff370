// SPDX-License-Identifier: Apache-2.0

// Package gateway is the asset gateway: an HTTPS server in the cluster that stores the
// inputs and the results of TaskGroups, so that dispatchers and pods need no other
// storage.
//
//	objectpath  parses the path of a request (pure)
//	access      decides who may do what (pure), and collects the evidence for it
//	volume      stores objects on a file system
//	collect     deletes what no TaskGroup needs any more
//	certs       has the certificates of the server and its authorities
//	server      handles requests
//
// docs/gateway.md has the protocol.
package gateway
