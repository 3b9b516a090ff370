// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"cloud.google.com/go/auth"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

const endpoint = "https://storage.googleapis.com"

// Store is the Backend of gs.
type Store struct {
	mu       sync.Mutex
	exchange web.Exchange
	endpoint string
	// tokens is nil for an emulator.
	tokens auth.TokenProvider
	// at and metadataAt replace Google's endpoint and the metadata server in tests.
	at, metadataAt string
}

// load prepares the first request. A failure is not kept: the next try may find what
// this one missed.
func (s *Store) load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != "" {
		return nil
	}
	s.exchange = web.Exchange{Client: transport.FixedClient(), Explain: explain}
	if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" {
		if !strings.Contains(emulator, "://") {
			emulator = "http://" + emulator
		}
		s.endpoint = strings.TrimRight(emulator, "/")
		return nil
	}
	tokens, err := s.findTokens()
	if err != nil {
		return err
	}
	s.tokens, s.endpoint = tokens, cmp.Or(s.at, endpoint)
	return nil
}

// Open implements store.Backend.
func (s *Store) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	request, err := s.request(ctx, http.MethodGet, uri)
	if err != nil {
		return nil, err
	}
	return s.exchange.Get(request, from)
}

// Put implements store.Backend.
func (s *Store) Put(ctx context.Context, uri string, body *store.Body) error {
	request, err := s.request(ctx, http.MethodPut, uri)
	if err != nil {
		return err
	}
	return s.exchange.Put(request, body)
}

// Commit implements store.Backend. Only an object that does not exist has generation 0.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	request, err := s.request(ctx, http.MethodPut, uri)
	if err != nil {
		return err
	}
	request.Header.Set("X-Goog-If-Generation-Match", "0")
	return s.exchange.Put(request, body)
}

// Remove implements store.Remover.
func (s *Store) Remove(ctx context.Context, uri string) error {
	request, err := s.request(ctx, http.MethodDelete, uri)
	if err != nil {
		return err
	}
	return s.exchange.Delete(request)
}

func (s *Store) request(ctx context.Context, method, uri string) (*http.Request, error) {
	bucket, key, err := store.Bucket(uri)
	if err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	// Everything but slashes is escaped, so that no character of a key has a meaning
	// in the URL.
	path := strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
	request, err := http.NewRequestWithContext(ctx, method, s.endpoint+"/"+bucket+"/"+path, nil)
	if err != nil {
		return nil, errors.New("malformed STORAGE_EMULATOR_HOST")
	}
	if s.tokens != nil {
		ctx, cancel := context.WithTimeout(ctx, transport.CredentialTimeout)
		defer cancel()
		token, err := s.tokens.Token(ctx)
		if err != nil {
			return nil, tokenError(err)
		}
		request.Header.Set("Authorization", "Bearer "+token.Value)
	}
	return request, nil
}

// explain returns the error that a response of the XML API describes.
func explain(answer *http.Response) string {
	var said struct{ Code, Message string }
	if err := xml.NewDecoder(io.LimitReader(answer.Body, 16<<10)).Decode(&said); err != nil {
		return ""
	}
	return cmp.Or(said.Code+": "+said.Message, "")
}
