// SPDX-License-Identifier: Apache-2.0

// Package transport makes the HTTP connections of all stores: a small number, with a bound
// on every wait, separate ones for reads and for writes, and no redirect to a less safe
// location.
package transport
