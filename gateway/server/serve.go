// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 90 * time.Second
	// maxHeader is more than the longest token and the longest path.
	maxHeader           = 32 << 10
	defaultDrainTimeout = 25 * time.Second
)

// Listener is a server of one address.
type Listener struct {
	Address string
	Handler http.Handler
	// TLS is nil for a server without encryption.
	TLS *tls.Config
	Log *slog.Logger
	// DrainTimeout bounds the transfers that run when the server stops; 25 s by default.
	DrainTimeout time.Duration
	// After, if set, is closed when the server may listen. Clients retry connections that
	// are refused.
	After <-chan struct{}
	// Started, if set, gets the address that the server listens at.
	Started func(net.Addr)
}

// Run serves until ctx is done. Then it accepts no connections, and waits for the
// transfers that are running.
func (l Listener) Run(ctx context.Context) error {
	if l.After != nil {
		select {
		case <-l.After:
		case <-ctx.Done():
			return nil
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return fmt.Errorf("listening at %s: %w", l.Address, err)
	}
	l.Log.Info("listening", "address", listener.Addr().String(), "tls", l.TLS != nil)
	if l.Started != nil {
		l.Started(listener.Addr())
	}
	server := &http.Server{
		Handler:           l.Handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(l.Log.Handler(), slog.LevelDebug),
		// One connection per transfer is faster than many streams on one, and its memory
		// is bounded.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	if l.TLS != nil {
		listener = tls.NewListener(listener, l.TLS)
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- drain(server, cmp.Or(l.DrainTimeout, defaultDrainTimeout)) })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serving at %s: %w", l.Address, err)
	}
	return <-stopped
}

// drain waits for the transfers, and closes the connections of those that do not finish.
func drain(server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}
