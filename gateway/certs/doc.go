// SPDX-License-Identifier: Apache-2.0

// Package certs creates and renews the certificates of the gateway.
//
//	Secret     ca.crt, ca.key     the authority
//	           tls.crt, tls.key   the certificate of the server, and its chain
//	           previous.crt       the authority before a rotation, while it is valid
//	ConfigMap  ca.crt             what clients trust: ca.crt and previous.crt
//
// A new authority is signed by the previous one, too, and the server sends this
// certificate. A client that has only the previous authority, such as the runner of a
// pod that has been queued or running for months, connects as before. Therefore a
// rotation needs no step in which both are waited for.
//
// An administrator who removes the data of the Secret revokes everything: the next
// authority is unrelated to the previous one.
package certs
