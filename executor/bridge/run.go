// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
)

// clientLog makes the log of the clients lines of JSON too. Their logger is the
// process's, and may be set once.
var clientLog sync.Once

// Run serves until ctx ends, then lets requests finish: polls answer at once that
// their groups have not finished. Groups with cancel_on_stop are cancelled.
func Run(ctx context.Context, options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	options.setDefaults()
	handler := slog.NewJSONHandler(options.Log, nil)
	log := logr.FromSlogHandler(handler)
	clientLog.Do(func() {
		klog.SetLogger(log)
		crlog.SetLogger(log)
	})
	listener, err := listen(strings.TrimPrefix(options.Listen, scheme))
	if err != nil {
		return err
	}
	s := newServer(&options, log)
	defer s.clusters.close()
	if s.outbox != nil {
		defer s.outbox.run(ctx)()
		for _, settings := range options.CallbackClusters {
			if _, err := s.clusters.get(settings); err != nil {
				_ = listener.Close()
				return fmt.Errorf("watching for callbacks: %w", err)
			}
		}
	}
	log.Info("Serving", "listen", options.Listen, "version", options.Version, "protocol", Protocol)
	return s.serve(ctx, listener)
}

func (s *server) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.log), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("Stopping")
	close(s.stopping)
	// Not ctx, which is done.
	ctx = context.WithoutCancel(ctx)
	end, cancel := context.WithTimeout(ctx, s.options.StopTimeout)
	defer cancel()
	// At once, since the process that stops the bridge may not wait for long; and again for
	// what was sent meanwhile.
	var cancels sync.WaitGroup
	cancels.Go(func() { s.cancelOpen(ctx) })
	defer func() {
		cancels.Wait()
		s.cancelOpen(ctx)
	}()
	if err := server.Shutdown(end); err != nil {
		return errors.Join(fmt.Errorf("waiting for requests: %w", err), server.Close())
	}
	return nil
}
