// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

const (
	// oldestMinor is the first release whose API server accepts the CRD: its rules use
	// transformMapEntry.
	oldestMinor = 33
	// imageVolumeMinor is the first release in which image volumes are on by default.
	// The kubelet and the runtime have to support them, too, which only a pod shows:
	// the reconciler falls back to init containers.
	imageVolumeMinor = 36
	// serverInterval is how often an API server that does not answer is requested.
	serverInterval = 2 * time.Second
)

// awaitServer returns the version of the API server. It waits until the server answers:
// a process that exited instead would be restarted with a growing backoff, and would
// resume up to five minutes after the end of an outage. It returns an error if the
// server is older than the rules of the CRD, or if ctx is done.
func awaitServer(ctx context.Context, config *rest.Config, interval time.Duration, log logr.Logger) (*version.Info, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for the API server: %w", err)
	}
	for waited := false; ; waited = true {
		server, err := client.ServerVersion()
		switch _, answered := errors.AsType[*apierrors.StatusError](err); {
		case err == nil:
			return server, checkVersion(server)
		case answered && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTooManyRequests(err):
			return nil, fmt.Errorf("reading the API server's version: %w", err)
		case !waited:
			log.Info("waiting for the API server", "host", config.Host, "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the API server: %w", ctx.Err())
		case <-time.After(interval):
		}
	}
}

// checkVersion returns an error for a server that is too old.
func checkVersion(server *version.Info) error {
	if minor := minorOf(server); minor > 0 && minor < oldestMinor {
		return fmt.Errorf("the API server has version %s: TaskGroups need Kubernetes 1.%d or newer", server.GitVersion, oldestMinor)
	}
	return nil
}

// minorOf is the minor version of a server of major version 1, greater than any for a
// later one, and 0 if it is unknown. Some providers append a plus sign.
func minorOf(server *version.Info) int {
	major, err := strconv.Atoi(server.Major)
	if err != nil {
		return 0
	}
	if major > 1 {
		return math.MaxInt
	}
	minor, err := strconv.Atoi(strings.TrimRight(server.Minor, "+"))
	if err != nil {
		return 0
	}
	return minor
}
