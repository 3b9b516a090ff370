package gcs

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

const (
	endpoint = "https://storage.googleapis.com"
	scope    = "https://www.googleapis.com/auth/devstorage.read_write"
)

// Store is the Backend of gs.
type Store struct {
	once     sync.Once
	exchange web.Exchange
	endpoint string
	// credentials are nil for an emulator.
	credentials *auth.Credentials
	err         error
}

// load looks for credentials when the first object is asked for.
func (s *Store) load() error {
	s.once.Do(func() {
		s.exchange = web.Exchange{Client: transport.FixedClient(), Explain: explain}
		if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" {
			if !strings.Contains(emulator, "://") {
				emulator = "http://" + emulator
			}
			s.endpoint = strings.TrimRight(emulator, "/")
			return
		}
		s.endpoint = endpoint
		s.credentials, s.err = credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{scope}})
		if s.err != nil {
			s.err = fmt.Errorf("no credentials: mount a key and name it in GOOGLE_APPLICATION_CREDENTIALS, or use workload identity: %w", s.err)
		}
	})
	return s.err
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

// Commit implements store.Backend. Generation 0 is that of no object.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	request, err := s.request(ctx, http.MethodPut, uri)
	if err != nil {
		return err
	}
	request.Header.Set("X-Goog-If-Generation-Match", "0")
	return s.exchange.Put(request, body)
}

func (s *Store) request(ctx context.Context, method, uri string) (*http.Request, error) {
	bucket, key, err := store.Bucket(uri)
	if err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	// All but the slashes is encoded, so that no character of a key is taken for
	// a part of a URL.
	path := strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
	request, err := http.NewRequestWithContext(ctx, method, s.endpoint+"/"+bucket+"/"+path, nil)
	if err != nil {
		return nil, errors.New("malformed STORAGE_EMULATOR_HOST")
	}
	if s.credentials != nil {
		token, err := s.credentials.Token(ctx)
		if err != nil {
			return nil, tokenError(err)
		}
		request.Header.Set("Authorization", "Bearer "+token.Value)
	}
	return request, nil
}

// tokenError says of an error of the token service whether to try again.
func tokenError(err error) error {
	if failed, ok := errors.AsType[*auth.Error](err); ok && failed.Response != nil {
		return &store.StatusError{
			Code: failed.Response.StatusCode, Text: "no token for these credentials", RetryAfter: store.RetryAfter(failed.Response.Header),
		}
	}
	return fmt.Errorf("no token: %w", transport.Bare(err))
}

// explain reads the error's name of the XML API.
func explain(answer *http.Response) string {
	var said struct{ Code, Message string }
	if err := xml.NewDecoder(io.LimitReader(answer.Body, 16<<10)).Decode(&said); err != nil {
		return ""
	}
	return cmp.Or(said.Code+": "+said.Message, "")
}
