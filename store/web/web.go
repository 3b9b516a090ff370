// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// Store is the Backend of http and https.
type Store struct {
	once        sync.Once
	exchange    Exchange
	credentials credentials
	err         error
}

// Open implements store.Backend.
func (s *Store) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	request, err := s.request(ctx, http.MethodGet, uri)
	if err != nil {
		return nil, err
	}
	return s.exchange.Get(request, from)
}

// Put implements store.Backend. Whether a part of an object is visible while it is being
// written depends on the server.
func (s *Store) Put(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, uri, body, "")
}

// Commit implements store.Backend.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, uri, body, "*")
}

// Remove implements store.Remover.
func (s *Store) Remove(ctx context.Context, uri string) error {
	request, err := s.request(ctx, http.MethodDelete, uri)
	if err != nil {
		return err
	}
	return s.exchange.Delete(request)
}

// MustVerifyCondition implements store.ConditionVerifier: many servers do not know the
// condition.
func (*Store) MustVerifyCondition(string) bool { return true }

// put writes an object. WebDAV has folders, which are created if they are missing.
func (s *Store) put(ctx context.Context, uri string, body *store.Body, ifNoneMatch string) error {
	for mayCreate := true; ; mayCreate = false {
		request, err := s.request(ctx, http.MethodPut, uri)
		if err != nil {
			return err
		}
		if ifNoneMatch != "" {
			request.Header.Set("If-None-Match", ifNoneMatch)
		}
		err = s.exchange.Put(request, body)
		if !mayCreate || !isConflict(err) || s.createCollection(ctx, parentOf(uri)) != nil {
			return err
		}
	}
}

func (s *Store) request(ctx context.Context, method, uri string) (*http.Request, error) {
	s.once.Do(func() {
		s.exchange = Exchange{Client: transport.Client()}
		s.credentials, s.err = readCredentials()
	})
	if s.err != nil {
		return nil, s.err
	}
	request, err := NewRequest(ctx, method, uri)
	if err == nil {
		s.credentials.authenticate(request)
	}
	return request, err
}

// NewRequest returns a request for a URL, which is sent as it is written.
func NewRequest(ctx context.Context, method, uri string) (*http.Request, error) {
	target, err := parse(uri)
	if err != nil {
		return nil, err
	}
	request := &http.Request{Method: method, URL: target, Host: target.Host, Header: http.Header{}}
	return request.WithContext(ctx), nil
}

// Exchange sends requests for objects to a server.
type Exchange struct {
	Client *http.Client
	// Explain, if set, returns the error that a response describes.
	Explain func(answer *http.Response) string
}

// Get reads an object, or the rest of it.
func (e *Exchange) Get(request *http.Request, from store.Position) (*store.Object, error) {
	if from.Offset > 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(from.Offset, 10)+"-")
		// Without the version the rest might be that of another object.
		request.Header.Set("If-Match", from.Version)
	}
	answer, err := e.Client.Do(request)
	if err != nil {
		return nil, transport.Bare(err)
	}
	object := &store.Object{ReadCloser: answer.Body, Size: answer.ContentLength, Version: version(answer.Header)}
	switch answer.StatusCode {
	case http.StatusOK:
		return object, nil
	case http.StatusPartialContent:
		if offset, size, ok := contentRange(answer.Header.Get("Content-Range")); ok && from.Offset > 0 {
			object.Offset, object.Size = offset, size
			return object, nil
		}
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		if from.Offset > 0 {
			_ = answer.Body.Close()
			return e.Get(again(request), store.Position{})
		}
	}
	return nil, e.failure(answer)
}

// Put writes an object.
func (e *Exchange) Put(request *http.Request, body *store.Body) error {
	_, err := e.PutStatus(request, body)
	return err
}

// PutStatus writes an object, and returns the status code of a response that reports
// success.
func (e *Exchange) PutStatus(request *http.Request, body *store.Body) (int, error) {
	request.ContentLength = body.Size()
	request.Body = body.Reader()
	request.GetBody = func() (io.ReadCloser, error) { return body.Reader(), nil }
	if body.Size() == 0 {
		request.Body = http.NoBody
	}
	answer, err := e.Client.Do(request)
	if err != nil {
		return 0, transport.Bare(err)
	}
	switch {
	case answer.StatusCode == http.StatusPreconditionFailed:
		_ = answer.Body.Close()
		return 0, store.ErrExists
	case answer.StatusCode/100 == 2:
		drain(answer)
		return answer.StatusCode, nil
	}
	return 0, e.failure(answer)
}

// Delete removes an object.
func (e *Exchange) Delete(request *http.Request) error {
	answer, err := e.Client.Do(request)
	if err != nil {
		return transport.Bare(err)
	}
	if answer.StatusCode/100 != 2 {
		return e.failure(answer)
	}
	drain(answer)
	return nil
}

// again returns the request for the whole object.
func again(request *http.Request) *http.Request {
	whole := request.Clone(request.Context())
	whole.Header.Del("Range")
	whole.Header.Del("If-Match")
	return whole
}

// failure translates the response to a refused request, and closes its body.
func (e *Exchange) failure(answer *http.Response) error {
	status := &store.StatusError{Code: answer.StatusCode, RetryAfter: store.RetryAfter(answer.Header)}
	switch {
	case e.Explain != nil:
		status.Text = e.Explain(answer)
	case answer.StatusCode == http.StatusForbidden && answer.Request.URL.RawQuery != "":
		status.Text = "a signed URL may have expired, or be of another method"
	case answer.StatusCode == http.StatusMethodNotAllowed:
		status.Text = "the server takes no " + answer.Request.Method
	case answer.StatusCode == http.StatusUnauthorized && answer.Request.Header.Get("Authorization") == "":
		status.Text = "the server requires credentials: set " + envHost + " and " + envToken + ", or " + envNetrc
	}
	drain(answer)
	return status
}

// drain reads the rest of a short body, so that the connection can be reused.
func drain(answer *http.Response) {
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	_ = answer.Body.Close()
}

// version returns the strong validator of an object; a weak one does not guarantee equal
// bytes.
func version(header http.Header) string {
	if tag := header.Get("Etag"); !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return ""
}

// contentRange parses "bytes 5-9/10" and "bytes 5-9/*".
func contentRange(text string) (offset, size int64, ok bool) {
	text, isBytes := strings.CutPrefix(text, "bytes ")
	span, total, hasTotal := strings.Cut(text, "/")
	first, _, hasFirst := strings.Cut(span, "-")
	offset, err := strconv.ParseInt(first, 10, 64)
	if !isBytes || !hasTotal || !hasFirst || err != nil {
		return 0, 0, false
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil {
		size = -1
	}
	return offset, size, true
}
