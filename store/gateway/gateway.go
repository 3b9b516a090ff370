// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

const (
	// largeBody is a body that is not sent before the gateway has accepted its header.
	// The round trip is longer than a smaller body takes.
	largeBody = 64 << 10
	// maxExplanation bounds the body of a response that refuses a request.
	maxExplanation = 4 << 10
)

var errURI = errors.New("the URI of an object of the gateway has no query, fragment, escape or backslash")

// Config is how the gateway is reached. The zero value reads the environment of a pod.
type Config struct {
	// URL is the beginning of all URLs, without a slash at its end. It may have a path,
	// such as that of a service proxy.
	URL string
	// Client sends the requests.
	Client *http.Client
	// Authenticate adds credentials to a request.
	Authenticate func(*http.Request) error
}

// Store is the Backend of contract.GatewayScheme.
type Store struct {
	// Config may be set before the Store is used.
	Config Config

	once     sync.Once
	exchange web.Exchange
	err      error
}

// Open implements store.Backend.
func (s *Store) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	request, err := s.request(ctx, http.MethodGet, uri)
	if err != nil {
		return nil, err
	}
	return s.exchange.Get(request, from)
}

// Put implements store.Backend. The gateway replaces no object: one that exists with the
// same bytes is a success.
func (s *Store) Put(ctx context.Context, uri string, body *store.Body) error {
	err := s.Commit(ctx, uri, body)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	digest, headErr := s.digest(ctx, uri)
	if headErr != nil {
		return headErr
	}
	if own, hashErr := digestOf(body); hashErr != nil || own == digest {
		return hashErr
	}
	return err
}

// Commit implements store.Backend. Objects that are named by their digest are created
// by many: one that exists is a success.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	content := contentDigest(uri)
	if content != "" && body.Size() > largeBody {
		// A proxy may send the body before the gateway has responded.
		if _, err := s.digest(ctx, uri); err == nil {
			return verify(body, content)
		} else if !isMissing(err) {
			return err
		}
	}
	request, err := s.request(ctx, http.MethodPut, uri)
	if err != nil {
		return err
	}
	request.Header.Set("If-None-Match", "*")
	if body.Size() > largeBody {
		request.Header.Set("Expect", "100-continue")
	}
	code, err := s.exchange.PutStatus(request, body)
	if err == nil && content != "" && code != http.StatusCreated {
		// It exists: the gateway has not read the body.
		return verify(body, content)
	}
	return err
}

// digest returns the SHA-256 of an object that exists.
func (s *Store) digest(ctx context.Context, uri string) (string, error) {
	request, err := s.request(ctx, http.MethodHead, uri)
	if err != nil {
		return "", err
	}
	object, err := s.exchange.Get(request, store.Position{})
	if err != nil {
		return "", err
	}
	return strings.Trim(object.Version, `"`), object.Close()
}

// request returns a request with credentials.
func (s *Store) request(ctx context.Context, method, uri string) (*http.Request, error) {
	s.once.Do(func() {
		config := s.Config
		if config.URL == "" {
			config, s.err = podConfig()
		}
		s.Config, s.exchange = config, web.Exchange{Client: config.Client, Explain: explain}
	})
	if s.err != nil {
		return nil, s.err
	}
	path, err := contract.GatewayPath(uri)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(path, `?#%\`) {
		return nil, errURI
	}
	request, err := web.NewRequest(ctx, method, s.Config.URL+path)
	if err != nil {
		return nil, err
	}
	return request, s.Config.Authenticate(request)
}

// explain returns the reason and the message of the gateway.
func explain(answer *http.Response) string {
	var refused contract.GatewayError
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxExplanation))
	if err != nil || json.Unmarshal(raw, &refused) != nil || refused.Reason == "" {
		return ""
	}
	return string(refused.Reason) + ": " + refused.Message
}

// contentDigest returns the digest in the URI of an object of the content; empty for
// other objects.
func contentDigest(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	_, path, _ := strings.Cut(rest, "/")
	digest, _ := strings.CutPrefix(path, contract.GatewayContent+"/")
	if digest == path {
		return ""
	}
	return digest
}

// verify compares a body with its digest.
func verify(body *store.Body, digest string) error {
	own, err := digestOf(body)
	if err == nil && own != digest {
		return fmt.Errorf("%w: the body has SHA-256 %s", store.ErrDigest, own)
	}
	return err
}

func digestOf(body *store.Body) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, body.Reader()); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func isMissing(err error) bool {
	status, ok := errors.AsType[*store.StatusError](err)
	return ok && status.Code == http.StatusNotFound
}
