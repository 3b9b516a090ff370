package invariants

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Request is one line of the API server's audit log, at level Metadata: who
// asked for what and when, without the bodies.
type Request struct {
	User        string
	Verb        string
	Resource    string
	Subresource string
	Namespace   string
	// Name is empty for a collection, and for a name that the server generates.
	Name string
	// Selector is the label selector of a collection.
	Selector string
	Code     int
	// At is when the server received it.
	At time.Time
}

// succeeded says whether the server did what it was asked for.
func (r *Request) succeeded() bool { return r.Code >= 200 && r.Code < 300 }

// writes says whether the request is one that changes objects.
func (r *Request) writes() bool {
	return !slices.Contains([]string{"get", "list", "watch"}, r.Verb)
}

// selects says whether a collection has objects with these labels in it.
func (r *Request) selects(of map[string]string) bool {
	selector, err := labels.Parse(r.Selector)
	return err != nil || selector.Matches(labels.Set(of))
}

// auditLine is the part of audit.k8s.io/v1, Event that a Request is made of.
type auditLine struct {
	Stage    string           `json:"stage"`
	Verb     string           `json:"verb"`
	URI      string           `json:"requestURI"`
	Received metav1.MicroTime `json:"requestReceivedTimestamp"`
	User     struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// ReadRequests reads the answered requests of an audit log in the order of their
// arrival; the log itself is in the order of the answers.
func ReadRequests(auditLog string) ([]Request, error) {
	file, err := os.Open(auditLog)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	defer file.Close()
	var requests []Request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l auditLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if l.Object.Resource == "" || (l.Stage != "" && l.Stage != "ResponseComplete") {
			continue
		}
		uri, err := url.ParseRequestURI(l.URI)
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		requests = append(requests, Request{
			User: l.User.Username, Verb: l.Verb, Resource: l.Object.Resource, Subresource: l.Object.Subresource,
			Namespace: l.Object.Namespace, Name: l.Object.Name, Code: l.Response.Code,
			Selector: uri.Query().Get("labelSelector"), At: l.Received.Time,
		})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	slices.SortStableFunc(requests, func(a, b Request) int { return a.At.Compare(b.At) })
	return requests, nil
}
