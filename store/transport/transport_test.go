package transport

import (
	"errors"
	"net/http"
	"testing"
)

func TestRedirects(t *testing.T) {
	tests := map[string]struct {
		method, from, to string
		want             bool
	}{
		"same scheme":    {"GET", "https://a/", "https://b/", true},
		"to a safer one": {"GET", "http://a/", "https://b/", true},
		"to a worse one": {"GET", "https://a/", "http://a/", false},
		"to a file":      {"GET", "https://a/", "file:///etc/passwd", false},
		"PUT to GET":     {"PUT", "https://a/", "https://b/", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, err := http.NewRequest(test.method, test.from, nil)
			next, nextErr := http.NewRequest(http.MethodGet, test.to, nil)
			if err != nil || nextErr != nil {
				t.Fatal(err, nextErr)
			}
			if err := checkRedirect(next, []*http.Request{before}); (err == nil) != test.want || err != nil && !errors.Is(err, ErrRedirect) {
				t.Errorf("error %v", err)
			}
		})
	}
}
