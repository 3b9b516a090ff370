package store

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestIsTemporary(t *testing.T) {
	tests := map[string]struct {
		err  error
		want bool
	}{
		"reset":             {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		"refused":           {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		"truncated":         {io.ErrUnexpectedEOF, true},
		"a timeout":         {&net.DNSError{IsTimeout: true}, true},
		"an unknown host":   {&net.DNSError{IsNotFound: true}, true},
		"a full disk":       {&os.PathError{Err: syscall.ENOSPC}, false},
		"taken":             {ErrExists, false},
		"other bytes":       {ErrDigest, false},
		"a bad URI":         {errors.New("malformed URL"), false},
		"408":               {&StatusError{Code: 408}, true},
		"425":               {&StatusError{Code: 425}, true},
		"429":               {&StatusError{Code: 429}, true},
		"500":               {&StatusError{Code: 500}, true},
		"501":               {&StatusError{Code: 501}, false},
		"503":               {&StatusError{Code: 503}, true},
		"400":               {&StatusError{Code: 400}, false},
		"403":               {&StatusError{Code: 403}, false},
		"409, of its store": {&StatusError{Code: 409, Temporary: true}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := isTemporary(test.err); got != test.want {
				t.Errorf("temporary: %t", got)
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

func TestPersist(t *testing.T) {
	tests := map[string]struct {
		// progress says of each try whether it got anywhere; all fail.
		progress bool
		err      error
		// least and most are how long it takes.
		least, most time.Duration
		tries       int
	}{
		"an error that stays":       {false, &StatusError{Code: 403}, 0, 0, 1},
		"one that passes":           {false, &StatusError{Code: 503}, 100 * time.Second, 2 * time.Minute, 15},
		"a wait that is wished for": {false, &StatusError{Code: 429, RetryAfter: 50 * time.Second}, 100 * time.Second, 100 * time.Second, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, started := 0, time.Now()
				err := (&Stores{}).persist(t.Context(), func(context.Context) (bool, error) {
					tries++
					return test.progress, test.err
				})
				took := time.Since(started)
				if !errors.Is(err, test.err) || took < test.least || took > test.most || tries < test.tries || tries > 2*test.tries+5 {
					t.Errorf("%d tries in %s: %v", tries, took, err)
				}
			})
		})
	}
}

func TestProgressKeepsAStoreAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, started := 0, time.Now()
		err := (&Stores{Patience: time.Second}).persist(t.Context(), func(context.Context) (bool, error) {
			<-time.After(time.Minute)
			if tries++; tries == 10 {
				return true, nil
			}
			return true, io.ErrUnexpectedEOF
		})
		if took := time.Since(started); err != nil || took < 10*time.Minute {
			t.Errorf("%s: %v", took, err)
		}
	})
}

func TestEndBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, started := &Stores{}, time.Now()
		s.EndBy(started.Add(5 * time.Second))
		err := s.persist(t.Context(), func(ctx context.Context) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		})
		if took := time.Since(started); !errors.Is(err, errEnds) || took != 5*time.Second {
			t.Errorf("%s: %v", took, err)
		}
	})
}

// fixed is a meter that shows so many bytes more each second.
type fixed struct {
	started time.Time
	perTime int64
	idle    bool
}

func (f fixed) passed() int64 { return int64(time.Since(f.started)/time.Second) * f.perTime }
func (f fixed) waits() bool   { return f.idle }

func TestWatch(t *testing.T) {
	tests := map[string]struct {
		perSecond int64
		idle      bool
		want      bool
	}{
		"1 KiB/s":                   {1 << 10, false, true},
		"2 KiB/s":                   {2 << 10, false, false},
		"waiting for an answer":     {0, true, false},
		"nothing at all":            {0, false, true},
		"as fast as one could wish": {1 << 30, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := (&Stores{}).watch(t.Context(), fixed{time.Now(), test.perSecond, test.idle})
				defer stop()
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Minute):
				}
				if got := errors.Is(stalled(ctx, io.EOF), errStalled); got != test.want {
					t.Errorf("stalled: %t", got)
				}
			})
		})
	}
}
