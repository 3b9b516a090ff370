package store

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	defaultPatience = 2 * time.Minute
	firstDelay      = 200 * time.Millisecond
	longestDelay    = 10 * time.Second
	// longestWish bounds what a store may ask for with Retry-After.
	longestWish = time.Minute
)

// StatusError is the answer of a store that did not do as it was asked.
type StatusError struct {
	// Code is that of HTTP.
	Code int
	// Text says more: the store's own name of the error, or what to do.
	Text string
	// RetryAfter is how long the store wants to be left alone.
	RetryAfter time.Duration
	// Temporary says that another try may help whatever the code.
	Temporary bool
}

func (e *StatusError) Error() string {
	text := strconv.Itoa(e.Code) + " " + http.StatusText(e.Code)
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// Is makes a missing object os.ErrNotExist.
func (e *StatusError) Is(target error) bool {
	return e.Code == http.StatusNotFound && errors.Is(errNotExist, target)
}

func (e *StatusError) temporary() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Temporary || e.Code >= 500 && e.Code != http.StatusNotImplemented
}

// RetryAfter reads the header of this name: seconds, or a date.
func RetryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(0, min(seconds, int(longestWish/time.Second)))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, min(time.Until(date), longestWish))
	}
	return 0
}

// isTemporary says whether another try may help, and how long to wait at least.
func isTemporary(err error) (time.Duration, bool) {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.RetryAfter, status.temporary()
	}
	if isCertificate(err) {
		return 0, false
	}
	for _, transient := range []error{
		io.ErrUnexpectedEOF, io.EOF, errStalled, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ETIMEDOUT, context.DeadlineExceeded,
	} {
		if errors.Is(err, transient) {
			return 0, true
		}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		// In a pod's first second a name that exists may be unknown to the resolver.
		return 0, lookup.Temporary() || lookup.Timeout() || lookup.IsNotFound
	}
	network, ok := errors.AsType[net.Error](err)
	return 0, ok && network.Timeout() || err != nil && isBrokenConnection(err)
}

// isBrokenConnection knows the errors that net/http makes of texts alone.
func isBrokenConnection(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server closed idle connection") || strings.Contains(text, "malformed HTTP") ||
		strings.Contains(text, "malformed chunked encoding") || strings.Contains(text, "transport connection broken")
}

func isCertificate(err error) bool {
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isHost := errors.AsType[x509.HostnameError](err)
	return isUnknown || isInvalid || isHost
}

// persist tries until it works, or the error is one that stays, or the
// patience since the last progress or the time that is left is over.
func (s *Stores) persist(ctx context.Context, once func(ctx context.Context) (progress bool, err error)) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	patience := s.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	begun := time.Now()
	for tries, since := 1, 0; ; tries, since = tries+1, since+1 {
		progress, err := once(ctx)
		if err == nil {
			return nil
		}
		if progress {
			begun, since = time.Now(), 0
		}
		least, again := isTemporary(err)
		if !again || ctx.Err() != nil {
			return abandoned(ctx, err)
		}
		delay := max(least, backoff(since))
		if time.Since(begun)+delay > patience {
			return fmt.Errorf("%w (gave up after %s and %d tries)", err, time.Since(begun).Round(time.Second), tries)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return abandoned(ctx, err)
		}
	}
}

// abandoned adds to an error that another try was not given the time.
func abandoned(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errEnds) && !errors.Is(err, errEnds) {
		return fmt.Errorf("%w (gave up: %w)", err, cause)
	}
	return err
}

// backoff doubles from try to try; up to half of it is left to chance, so that
// a thousand pods do not come back at once.
func backoff(try int) time.Duration {
	delay := min(firstDelay<<min(try, 10), longestDelay)
	return delay/2 + rand.N(delay/2) //nolint:gosec // it is to spread, not to hide
}
