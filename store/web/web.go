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
	once   sync.Once
	client *http.Client
}

func (s *Store) exchange() *Exchange {
	s.once.Do(func() { s.client = transport.Client() })
	return &Exchange{Client: s.client}
}

// Open implements store.Backend.
func (s *Store) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	request, err := NewRequest(ctx, http.MethodGet, uri)
	if err != nil {
		return nil, err
	}
	return s.exchange().Get(request, from)
}

// Put implements store.Backend. Whether a server shows a part of what is still
// being written is the server's affair.
func (s *Store) Put(ctx context.Context, uri string, body *store.Body) error {
	request, err := NewRequest(ctx, http.MethodPut, uri)
	if err != nil {
		return err
	}
	return s.exchange().Put(request, body)
}

// Commit implements store.Backend.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	request, err := NewRequest(ctx, http.MethodPut, uri)
	if err != nil {
		return err
	}
	request.Header.Set("If-None-Match", "*")
	return s.exchange().Put(request, body)
}

// Doubtful implements store.Doubtful: many servers do not know the condition.
func (*Store) Doubtful(string) bool { return true }

// NewRequest is one for a URL, which is sent as it is written.
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
	// Explain, if set, adds to the error of an answer what the server said.
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
	request.ContentLength = body.Size()
	request.Body = body.Reader()
	request.GetBody = func() (io.ReadCloser, error) { return body.Reader(), nil }
	if body.Size() == 0 {
		request.Body = http.NoBody
	}
	answer, err := e.Client.Do(request)
	if err != nil {
		return transport.Bare(err)
	}
	switch {
	case answer.StatusCode == http.StatusPreconditionFailed:
		_ = answer.Body.Close()
		return store.ErrExists
	case answer.StatusCode/100 == 2:
		drain(answer)
		return nil
	}
	return e.failure(answer)
}

// again is a request for all.
func again(request *http.Request) *http.Request {
	whole := request.Clone(request.Context())
	whole.Header.Del("Range")
	whole.Header.Del("If-Match")
	return whole
}

// failure makes an error of an answer, and takes care of its body.
func (e *Exchange) failure(answer *http.Response) error {
	status := &store.StatusError{Code: answer.StatusCode, RetryAfter: store.RetryAfter(answer.Header)}
	switch {
	case e.Explain != nil:
		status.Text = e.Explain(answer)
	case answer.StatusCode == http.StatusForbidden && answer.Request.URL.RawQuery != "":
		status.Text = "a signed URL may have expired, or be of another method"
	case answer.StatusCode == http.StatusMethodNotAllowed:
		status.Text = "the server takes no " + answer.Request.Method
	}
	drain(answer)
	return status
}

// drain reads the little that is left, so that the connection can be used again.
func drain(answer *http.Response) {
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	_ = answer.Body.Close()
}

// version is the strong validator of an object; a weak one does not promise
// equal bytes.
func version(header http.Header) string {
	if tag := header.Get("Etag"); !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return ""
}

// contentRange reads "bytes 5-9/10" and "bytes 5-9/*".
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
