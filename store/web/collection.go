// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// methodCreateCollection creates a folder of WebDAV (RFC 4918).
const methodCreateCollection = "MKCOL"

// isConflict reports whether WebDAV refused a request because a folder is missing.
func isConflict(err error) bool {
	status, ok := errors.AsType[*store.StatusError](err)
	return ok && status.Code == http.StatusConflict
}

// parentOf returns the URL of the folder of an object, with a slash at its end; empty for
// the root of a server.
func parentOf(uri string) string {
	uri, _, _ = strings.Cut(uri, "#")
	uri, _, _ = strings.Cut(uri, "?")
	scheme, rest, _ := strings.Cut(uri, "://")
	slash := strings.LastIndexByte(strings.TrimRight(rest, "/"), '/')
	if slash < 0 || !strings.Contains(rest[:slash], "/") {
		return ""
	}
	return scheme + "://" + rest[:slash+1]
}

// createCollection creates a folder, and those above it that are missing. It begins with
// the lowest one: a user may have no permission for the upper ones, which exist.
func (s *Store) createCollection(ctx context.Context, uri string) error {
	if uri == "" {
		return errors.New("the server has no folders")
	}
	err := s.tryCreateCollection(ctx, uri)
	if isConflict(err) {
		if err = s.createCollection(ctx, parentOf(uri)); err == nil {
			err = s.tryCreateCollection(ctx, uri)
		}
	}
	return err
}

func (s *Store) tryCreateCollection(ctx context.Context, uri string) error {
	request, err := s.request(ctx, methodCreateCollection, uri)
	if err != nil {
		return err
	}
	answer, err := s.exchange.Client.Do(request)
	if err != nil {
		return transport.Bare(err)
	}
	if answer.StatusCode/100 == 2 || answer.StatusCode == http.StatusMethodNotAllowed {
		// 405: it exists. Another pod may have created it.
		drain(answer)
		return nil
	}
	return s.exchange.failure(answer)
}
