// SPDX-License-Identifier: Apache-2.0

// Package bridge offers the executor to other languages: HTTP with JSON over a Unix
// socket. One process serves all groups of all clusters that its user can reach.
//
// It keeps nothing that matters: a request names its cluster and its group, polls
// are long polls that the client repeats, and kill -9 loses nothing but
// connections. What it does keep, a client for each kubeconfig and a watch for each
// namespace, is made again by the next request. docs/executor-openapi.yaml describes
// the routes.
//
// A process that can open the socket acts as its user, with that user's kubeconfig. The
// socket is therefore that user's alone (mode 0600).
package bridge
