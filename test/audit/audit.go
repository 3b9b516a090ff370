// SPDX-License-Identifier: Apache-2.0

// Package audit reads the audit log of an API server, at level Metadata: who
// requested what and when, without the bodies. It is the witness of the
// integration tests, the invariants and the benchmarks.
package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Request is one answered request: audit.k8s.io/v1, Event.
type Request struct {
	Verb      string `json:"verb"`
	URI       string `json:"requestURI"`
	UserAgent string `json:"userAgent"`
	User      struct {
		Username string `json:"username"`
	} `json:"user"`
	Object   Object `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
	// Received and Answered are in microseconds, where objects have seconds.
	Received time.Time `json:"requestReceivedTimestamp"`
	Answered time.Time `json:"stageTimestamp"`
	Stage    string    `json:"stage"`
}

// Object is what a request is about; its resource is empty for none, such as the
// API server's health.
type Object struct {
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	// Name is empty for a collection, and for a name that the server generates.
	Name string `json:"name"`
}

// Succeeded reports whether the server did what was requested.
func (r *Request) Succeeded() bool { return r.Response.Code >= 200 && r.Response.Code < 300 }

// Writes reports whether the request is one that changes objects.
func (r *Request) Writes() bool { return !slices.Contains([]string{"get", "list", "watch"}, r.Verb) }

// Unauthorized reports whether the user's roles did not allow the request. A quota,
// a policy or a namespace that is going refuses with the same code, 403.
func (r *Request) Unauthorized() bool {
	return r.Annotations["authorization.k8s.io/decision"] == "forbid"
}

// Selects reports whether a collection has objects with these labels in it.
func (r *Request) Selects(of map[string]string) bool {
	uri, err := url.ParseRequestURI(r.URI)
	if err != nil {
		return false
	}
	selector, err := labels.Parse(uri.Query().Get("labelSelector"))
	return err != nil || selector.Matches(labels.Set(of))
}

// Read reads the answered requests of an audit log, in the order of their answers.
func Read(log string) ([]Request, error) {
	file, err := os.Open(log)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	defer file.Close()
	var requests []Request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if r.Stage == "" || r.Stage == "ResponseComplete" {
			requests = append(requests, r)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return requests, nil
}

// ByArrival orders requests as the server received them.
func ByArrival(requests []Request) []Request {
	sorted := slices.Clone(requests)
	slices.SortStableFunc(sorted, func(a, b Request) int { return a.Received.Compare(b.Received) })
	return sorted
}
