// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// stream runs an exec request, by a WebSocket or, where a proxy does not permit one, by
// SPDY, as kubectl does.
func stream(ctx context.Context, config *rest.Config, target *url.URL, options remotecommand.StreamOptions) error {
	websocket, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, target.String())
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, target)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	either, err := remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	return either.StreamWithContext(ctx, options)
}
