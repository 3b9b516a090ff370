// SPDX-License-Identifier: Apache-2.0

// Package access decides who may read and write the objects of the gateway.
//
//	request ──> Reviewer.Evidence ──> Decide (pure) ──> Verdict
//	                 │
//	                 ├── TokenReview            (cached for seconds)
//	                 ├── SubjectAccessReview    (dispatchers; cached for seconds)
//	                 └── Directory              (pods; from watches)
//
// The header of the token selects the rules: the token of a pod is in Authorization,
// the token of a dispatcher in contract.GatewayTokenHeader. A request whose evidence
// cannot be collected, because the API server does not answer, is neither allowed nor
// refused: the caller has to retry it.
package access
