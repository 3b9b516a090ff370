// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// maxFailure bounds what is read of the response to a refused request.
const maxFailure = 16 << 10

// Signed is the Backend of s3 in a pod without credentials: the sender of its group has
// signed the URLs of the group's objects. An object is one PUT, so that it has at most
// 5 GiB.
type Signed struct {
	// Path is the file of contract.SignedURLs.
	Path string
	// UID identifies the group.
	UID string

	once     sync.Once
	err      error
	urls     *contract.SignedURLs
	exchange web.Exchange
}

// Open implements store.Backend.
func (s *Signed) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	request, err := s.request(ctx, http.MethodGet, contract.Permission{Access: contract.AccessGet, URI: uri})
	if err != nil {
		return nil, err
	}
	object, err := s.exchange.Get(request, from)
	return object, s.classify(err)
}

// Put implements store.Backend.
func (s *Signed) Put(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, contract.Permission{Access: contract.AccessPut, URI: uri}, body)
}

// Commit implements store.Backend.
func (s *Signed) Commit(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, contract.Permission{Access: contract.AccessCreate, URI: uri}, body)
}

// MustVerifyCondition implements store.ConditionVerifier: the kind of server cannot be
// derived from its URL.
func (*Signed) MustVerifyCondition(string) bool { return true }

func (s *Signed) put(ctx context.Context, p contract.Permission, body *store.Body) error {
	request, err := s.request(ctx, http.MethodPut, p)
	if err != nil {
		return err
	}
	if p.Access == contract.AccessCreate {
		request.Header.Set("If-None-Match", "*")
	}
	return s.classify(s.exchange.Put(request, body))
}

func (s *Signed) request(ctx context.Context, method string, p contract.Permission) (*http.Request, error) {
	s.once.Do(s.load)
	if s.err != nil {
		return nil, s.err
	}
	url, ok := s.urls.URL(p)
	if !ok {
		return nil, fmt.Errorf("%w to %s it: the pods of a group that is sent with presign reach what its spec names and what its attempts write, and nothing else", store.ErrNotSigned, p.Access)
	}
	return web.NewRequest(ctx, method, url)
}

func (s *Signed) load() {
	packed, err := os.ReadFile(s.Path)
	if err != nil {
		s.err = fmt.Errorf("reading the signed URLs: %w", err)
		return
	}
	if s.urls, err = contract.DecodeSignedURLs(packed); err != nil {
		// As text: an EOF of this file is not one of a connection, which would be retried.
		s.err = errors.New(err.Error())
		return
	}
	if s.urls.UID != s.UID {
		s.err = fmt.Errorf("the signed URLs are those of another TaskGroup, with UID %s: send the group again, a copy of a spec has none of its own", s.urls.UID)
	}
	s.exchange = web.Exchange{Client: transport.Client(), Explain: s.explain}
}

// explain returns the error of a response. The rest of its body may quote the request.
func (s *Signed) explain(answer *http.Response) string {
	var said struct{ Code, Message string }
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxFailure))
	if err != nil || xml.Unmarshal(raw, &said) != nil || said.Code == "" {
		said.Code, said.Message = "", ""
	}
	text := said.Code
	if said.Message != "" {
		text += ": " + said.Message
	}
	if answer.StatusCode == http.StatusForbidden && !time.Now().Before(s.urls.Until) {
		if text != "" {
			text += ": "
		}
		text += "the signed URL has expired, it was valid until " + s.urls.Until.Format(time.RFC3339)
	}
	return text
}

// classify marks transient errors whose status is usually permanent.
func (s *Signed) classify(err error) error {
	if status, ok := errors.AsType[*store.StatusError](err); ok {
		status.Temporary = status.Temporary || isTemporary(status.Text)
	}
	return err
}
