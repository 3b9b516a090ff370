// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"
)

// Fault responds to a request instead of the store, which it can call.
type Fault func(w http.ResponseWriter, r *http.Request, store http.Handler)

// Status responds with a code and headers, which are names and values in turn.
func Status(code int, headers ...string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(code)
	}
}

// Reset breaks the connection without a response.
func Reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) { hangUp(w, nil) }

// LoseAnswer handles the request, then breaks the connection without a response.
func LoseAnswer(w http.ResponseWriter, r *http.Request, store http.Handler) {
	store.ServeHTTP(httptest.NewRecorder(), r)
	hangUp(w, nil)
}

// Truncate breaks the connection after some bytes of the body.
func Truncate(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) {
		answer := record(r, store)
		hangUp(w, answer.head(answer.body.Len(), n))
	}
}

// Length announces more bytes than it sends, or fewer.
func Length(difference int) Fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) {
		answer := record(r, store)
		hangUp(w, answer.head(answer.body.Len()+difference, answer.body.Len()))
	}
}

// Flip changes one bit.
func Flip(w http.ResponseWriter, r *http.Request, store http.Handler) {
	answer := record(r, store)
	raw := answer.body.Bytes()
	raw[len(raw)/2] ^= 1
	hangUp(w, answer.head(len(raw), len(raw)))
}

// Stall sends some bytes and then nothing, until the client closes the connection.
func Stall(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) {
		answer := record(r, store)
		connection, _ := hijack(w)
		defer connection.Close()
		_, _ = connection.Write(answer.head(answer.body.Len(), n))
		_, _ = io.Copy(io.Discard, connection)
	}
}

// Delay responds as the store does, but later.
func Delay(delay time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			store.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// StopReading reads some bytes of a request and then nothing, until the test ends: what the
// kernel has received hides that the client has closed the connection.
func StopReading(n int64) Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		<-r.Context().Done()
	}
}

// Redirect redirects with 307, which keeps the method.
func Redirect(target string) Fault { return Status(http.StatusTemporaryRedirect, "Location", target) }

// answer is the response of the store.
type answer struct {
	code   int
	header http.Header
	body   *bytes.Buffer
}

func record(r *http.Request, store http.Handler) *answer {
	recorder := httptest.NewRecorder()
	store.ServeHTTP(recorder, r)
	return &answer{recorder.Code, recorder.Header(), recorder.Body}
}

// head returns the response with another length and the first n bytes.
func (a *answer) head(length, n int) []byte {
	a.header.Set("Content-Length", strconv.Itoa(length))
	var raw bytes.Buffer
	_, _ = fmt.Fprintf(&raw, "HTTP/1.1 %d %s\r\n", a.code, http.StatusText(a.code))
	_ = a.header.Write(&raw)
	_, _ = raw.WriteString("\r\n")
	_, _ = raw.Write(a.body.Bytes()[:min(n, a.body.Len())])
	return raw.Bytes()
}

func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	connection, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err) // an HTTP/1 server can do it
	}
	return connection, buffered
}

// hangUp sends bytes and closes the connection, with a reset if there are none.
func hangUp(w http.ResponseWriter, raw []byte) {
	connection, _ := hijack(w)
	defer connection.Close()
	if tcp, ok := connection.(*net.TCPConn); ok && raw == nil {
		_ = tcp.SetLinger(0)
	}
	_, _ = connection.Write(raw)
}
