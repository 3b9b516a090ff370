// SPDX-License-Identifier: Apache-2.0

// Package metricsauth authenticates and authorizes requests for the metrics of a
// controller-runtime manager: a TokenReview, then a SubjectAccessReview.
//
//	request ──> no bearer token ──────────────────────────────────> 401
//	    └─────> verdict in the cache ─────────────────────────────> 200, 401, 403
//	    └─────> allowed before, or within the rate limit ──> review > 200, 401, 403, 500
//	    └─────> over the rate limit ──────────────────────────────> 429
//
// The filter of controller-runtime (pkg/metrics/filters) is not used for two reasons.
// It sends a TokenReview for every unknown token, without a limit: any process that
// reaches the port could spend the operator's share of the API server's priority and
// fairness levels. It also links k8s.io/apiserver, which takes 13 MiB of memory in
// an idle operator (docs/benchmarks.md).
package metricsauth
