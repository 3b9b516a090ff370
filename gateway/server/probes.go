// SPDX-License-Identifier: Apache-2.0

package server

import "net/http"

// Probes returns the handler of the kubelet's probes. The gateway is ready when it can
// decide about requests. A lost volume does not make it unready: its clients get a typed
// refusal instead of a connection that fails.
func Probes(isReady func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !isReady() {
			http.Error(w, "the pods, the TaskGroups or the certificate were not read yet", http.StatusServiceUnavailable)
		}
	})
	return mux
}
