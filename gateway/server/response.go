// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// response bounds the time in which a client reads or sends some bytes, and records
// what was sent. It hides the io.ReaderFrom of net/http, which would copy without these
// bounds.
type response struct {
	http.ResponseWriter

	controller *http.ResponseController
	stall      time.Duration
	code       int
	written    int64
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	_ = w.controller.SetWriteDeadline(time.Now().Add(w.stall))
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// finish removes the deadline from the connection, which has further requests.
func (w *response) finish() {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	_ = w.controller.SetWriteDeadline(time.Time{})
}

// transfer is the body of a request whose reads are bounded, and that is authorized
// again when it was read.
type transfer struct {
	body      io.Reader
	response  *response
	remaining int64
	authorize func() *refusal
}

// Read implements io.Reader. At the end of the body, net/http reads from the connection
// in the background to detect that it was closed: a deadline that remained would cancel
// the request while its object is being flushed.
func (t *transfer) Read(p []byte) (int, error) {
	_ = t.response.controller.SetReadDeadline(time.Now().Add(t.response.stall))
	n, err := t.body.Read(p)
	if t.remaining -= int64(n); t.remaining > 0 || err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	_ = t.response.controller.SetReadDeadline(time.Time{})
	if refused := t.authorize(); refused != nil {
		return n, refused
	}
	return n, err
}
