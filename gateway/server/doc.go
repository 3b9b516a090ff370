// SPDX-License-Identifier: Apache-2.0

// Package server handles the requests of the gateway's clients.
//
//	token, path ──> Reviewer ──> access.Decide ──> slot ──> volume or bucket
//	     │             │              │             │          │
//	    400           503         401, 403         503    404, 409, 412, 422, 503, 507
//
// Every refusal has a contract.GatewayError as its body, and its reason in a header.
package server
