// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestIsTransient(t *testing.T) {
	tests := map[string]struct {
		err  error
		want bool
	}{
		"reset":               {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		"refused":             {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		"truncated":           {io.ErrUnexpectedEOF, true},
		"a timeout":           {&net.DNSError{IsTimeout: true}, true},
		"an unknown host":     {&net.DNSError{IsNotFound: true}, true},
		"a full disk":         {&os.PathError{Err: syscall.ENOSPC}, false},
		"taken":               {ErrExists, false},
		"other bytes":         {ErrDigest, false},
		"a bad URI":           {errors.New("malformed URL"), false},
		"408":                 {&StatusError{Code: 408}, true},
		"425":                 {&StatusError{Code: 425}, true},
		"429":                 {&StatusError{Code: 429}, true},
		"500":                 {&StatusError{Code: 500}, true},
		"501":                 {&StatusError{Code: 501}, false},
		"503":                 {&StatusError{Code: 503}, true},
		"400":                 {&StatusError{Code: 400}, false},
		"403":                 {&StatusError{Code: 403}, false},
		"409, of its store":   {&StatusError{Code: 409, Temporary: true}, true},
		"the pod was stopped": {errStopped, true},
		"a stale file":        {Transient(syscall.ESTALE), true},
		"none":                {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsTransient(fmt.Errorf("s3://b/k: %w (gave up after 2m0s and 17 tries)", test.err)); got != test.want {
				t.Errorf("transient: %t", got)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	in20 := time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
	for text, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-1": 0, "9999": time.Minute, "soon": 0, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	if got := RetryAfter(http.Header{"Retry-After": {in20}}); got < 15*time.Second || got > 20*time.Second {
		t.Errorf("%s: %s", in20, got)
	}
}

func TestIsPermanent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want bool
	}{
		"no credentials":      {fmt.Errorf("%w: %w", ErrNoCredentials, syscall.ECONNREFUSED), true},
		"none":                {nil, false},
		"401":                 {&StatusError{Code: 401}, true},
		"403":                 {&StatusError{Code: 403}, true},
		"404":                 {&StatusError{Code: 404}, true},
		"405":                 {&StatusError{Code: 405}, true},
		"501":                 {&StatusError{Code: 501}, true},
		"409":                 {&StatusError{Code: 409}, false},
		"503":                 {&StatusError{Code: 503}, false},
		"a read-only volume":  {&os.PathError{Err: syscall.EROFS}, true},
		"no permission":       {&os.PathError{Err: syscall.EACCES}, true},
		"not permitted":       {&os.PathError{Err: syscall.EPERM}, true},
		"below a file":        {&os.PathError{Err: syscall.ENOTDIR}, true},
		"a full disk":         {&os.PathError{Err: syscall.ENOSPC}, false},
		"a full quota":        {&os.PathError{Err: syscall.EDQUOT}, false},
		"no conditions":       {ErrUnconditional, true},
		"no URL":              {ErrNotSigned, true},
		"a certificate":       {x509.UnknownAuthorityError{}, true},
		"another pod":         {ErrExists, false},
		"a broken connection": {syscall.ECONNRESET, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := IsPermanent(test.err); got != test.want {
				t.Errorf("permanent: %t", got)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err error
		// least and most are how long it takes.
		least, most time.Duration
		tries       int
	}{
		"a permanent error":    {&StatusError{Code: 403}, 0, 0, 1},
		"a transient error":    {&StatusError{Code: 503}, 100 * time.Second, 2 * time.Minute, 15},
		"a delay by the store": {&StatusError{Code: 429, RetryAfter: 50 * time.Second}, 100 * time.Second, 100 * time.Second, 3},
	}
	for name, test := range tests {
		// The last bytes of a small object are sent before each error.
		for _, sent := range []int{0, 100} {
			t.Run(fmt.Sprintf("%s after %d bytes", name, sent), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					tries, started, moved := 0, time.Now(), &transfer{}
					err := (&Stores{}).retry(t.Context(), moved, func(context.Context) error {
						tries++
						moved.record(sent, int64(sent))
						return test.err
					})
					took := time.Since(started)
					if !errors.Is(err, test.err) || took < test.least || took > test.most || tries < test.tries || tries > 2*test.tries+5 {
						t.Errorf("%d tries in %s: %v", tries, took, err)
					}
				})
			})
		}
	}
}

// TestRetryOfLongTransfers transfers 1 KiB each second until the connection breaks.
func TestRetryOfLongTransfers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// seconds are how long each try takes until its error; the last one succeeds
		// unless there is an error.
		seconds []int
		tries   int
		want    string
	}{
		"longer than the timeout":          {[]int{170, 170}, 2, ""},
		"further each time":                {[]int{100, 170, 171, 172, 173, 174, 175, 176, 177}, 9, ""},
		"to the same point, five restarts": {slices.Repeat([]int{170}, 20), 6, "unexpected EOF (gave up after 17m"},
		"short ones, until the timeout":    {slices.Repeat([]int{1}, 100), 0, "unexpected EOF (gave up after "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries, moved, started := 0, &transfer{}, time.Now()
				err := (&Stores{}).retry(t.Context(), moved, func(context.Context) error {
					tries++
					for second := range test.seconds[tries-1] {
						<-time.After(time.Second)
						moved.record(1<<10, int64(second+1)<<10)
					}
					if tries == len(test.seconds) {
						return nil
					}
					return io.ErrUnexpectedEOF
				})
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
					t.Errorf("error %v", err)
				}
				if test.tries != 0 && tries != test.tries || test.tries == 0 && time.Since(started) < defaultRetryTimeout-longestDelay {
					t.Errorf("%d tries in %s", tries, time.Since(started))
				}
			})
		})
	}
}

func TestEndBy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, started := &Stores{}, time.Now()
		s.EndBy(started.Add(5 * time.Second))
		err := s.retry(t.Context(), &transfer{}, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(started); !errors.Is(err, errStopped) || took != 5*time.Second {
			t.Errorf("%s: %v", took, err)
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// begins is when the transfer becomes active.
		begins    time.Duration
		perSecond int
		want      bool
	}{
		"1 KiB/s":                   {0, 1 << 10, true},
		"2 KiB/s":                   {0, 2 << 10, false},
		"nothing at all":            {0, 0, true},
		"a late first byte":         {100 * time.Second, 1 << 20, false},
		"late, then slow":           {100 * time.Second, 1 << 10, true},
		"never active":              {time.Hour, 0, false},
		"as fast as one could wish": {0, 1 << 30, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				moved := &transfer{}
				ctx, stop := (&Stores{}).watch(t.Context(), moved)
				defer stop()
				for second := time.Duration(0); second < 5*time.Minute && ctx.Err() == nil; second += time.Second {
					if second >= test.begins {
						moved.active.Store(true)
						moved.record(test.perSecond, int64(second))
					}
					<-time.After(time.Second)
				}
				if got := errors.Is(withCause(ctx, io.EOF), errStalled); got != test.want {
					t.Errorf("stalled: %t", got)
				}
			})
		})
	}
}
