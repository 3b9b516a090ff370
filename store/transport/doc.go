// Package transport makes the HTTP connections of all stores: few of them, with
// a bound on every wait, and no redirect to a place that is less safe.
package transport
