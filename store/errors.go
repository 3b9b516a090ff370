// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrExists is returned by Commit for an object that exists.
	ErrExists = errors.New("already committed")
	// ErrScheme is returned for a URI that no Backend serves.
	ErrScheme = errors.New("unknown scheme")
	// ErrDigest is returned for an object whose bytes differ from the recorded ones.
	ErrDigest = errors.New("digest mismatch")
	// ErrNotSigned is returned for an object for which a pod has no signed URL.
	ErrNotSigned = errors.New("no URL was signed")
	// ErrNoCredentials is returned if no credentials for a store were found.
	ErrNoCredentials = errors.New("no credentials")
	// ErrUnconditional is returned by Commit for a store that replaces an object that exists.
	ErrUnconditional = errors.New("the store ignores If-None-Match: *, so that it cannot keep two attempts apart; use one that answers 412 where an object exists")
	// ErrNotExist is a missing object; it matches fs.ErrNotExist.
	ErrNotExist error = missing{}

	errStopped = errors.New("the pod ends")
)

// maxRetryAfter bounds the delay that a store requests with Retry-After.
const maxRetryAfter = time.Minute

type missing struct{}

func (missing) Error() string        { return "no such file" }
func (missing) Is(target error) bool { return target == fs.ErrNotExist }

// StatusError is the response of a store that refused or failed a request.
type StatusError struct {
	// Code is the HTTP status code.
	Code int
	// Text is the store's own name of the error, or what to do.
	Text string
	// RetryAfter is the least delay before the next try.
	RetryAfter time.Duration
	// Temporary marks an error that a retry may solve, whatever its code.
	Temporary bool
}

func (e *StatusError) Error() string {
	text := strconv.Itoa(e.Code) + " " + http.StatusText(e.Code)
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// Is makes a missing object fs.ErrNotExist.
func (e *StatusError) Is(target error) bool {
	return e.Code == http.StatusNotFound && target == fs.ErrNotExist
}

// MayBeMissing reports whether an object is missing, or may be: S3 and Google Cloud Storage
// respond with 403 to a request for a missing object, if the caller may not list the
// bucket.
func MayBeMissing(err error) bool {
	status, refused := errors.AsType[*StatusError](err)
	return errors.Is(err, fs.ErrNotExist) || refused && status.Code == http.StatusForbidden
}

func (e *StatusError) isTransient() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Temporary || e.Code >= 500 && e.Code != http.StatusNotImplemented
}

// Transient returns an error that matches err and that is retried.
func Transient(err error) error { return &transientError{err} }

type transientError struct{ error }

func (e *transientError) Unwrap() error { return e.error }

// RetryAfter parses the header of this name: seconds, or a date.
func RetryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(0, min(seconds, int(maxRetryAfter/time.Second)))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, min(time.Until(date), maxRetryAfter))
	}
	return 0
}

// IsTransient reports whether a later try may succeed without any change by a user:
// the network or the store failed, or the pod was stopped. It holds also for
// operations that were given up after the retry timeout.
func IsTransient(err error) bool {
	_, transient := retryable(err)
	return transient || errors.Is(err, errStopped)
}

// IsPermanent reports whether the store refuses the operation for a reason that every
// later try has too, so that a user has to change the location, the permissions or
// the store. Other errors are neither transient nor permanent, such as a full disk.
func IsPermanent(err error) bool {
	if err == nil || IsTransient(err) {
		return false
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		// 409 and 412 depend on other writers.
		return status.Code >= 300 && status.Code != http.StatusConflict && status.Code != http.StatusPreconditionFailed
	}
	for _, permanent := range []error{
		ErrUnconditional, ErrScheme, ErrNotSigned, ErrNoCredentials, fs.ErrNotExist, fs.ErrPermission,
		syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP,
	} {
		if errors.Is(err, permanent) {
			return true
		}
	}
	return isCertificateError(err)
}

// retryable reports whether a retry may succeed, and the least delay before it.
func retryable(err error) (time.Duration, bool) {
	if err == nil {
		return 0, false
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.RetryAfter, status.isTransient()
	}
	if _, ok := errors.AsType[*transientError](err); ok {
		return 0, true
	}
	// Without credentials, what the search for them failed with does not matter.
	return 0, !errors.Is(err, ErrNoCredentials) && !isCertificateError(err) && isNetworkError(err)
}

func isNetworkError(err error) bool {
	for _, transient := range []error{
		io.ErrUnexpectedEOF, io.EOF, errStalled, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ETIMEDOUT, context.DeadlineExceeded,
	} {
		if errors.Is(err, transient) {
			return true
		}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		// In the first second of a pod the resolver may not know a name that exists.
		return lookup.Temporary() || lookup.Timeout() || lookup.IsNotFound
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || isBrokenConnection(err)
}

// isBrokenConnection matches the errors of net/http that have no type.
func isBrokenConnection(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server closed idle connection") || strings.Contains(text, "malformed HTTP") ||
		strings.Contains(text, "malformed chunked encoding") || strings.Contains(text, "transport connection broken")
}

func isCertificateError(err error) bool {
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isHost := errors.AsType[x509.HostnameError](err)
	_, isVerification := errors.AsType[*tls.CertificateVerificationError](err)
	return isUnknown || isInvalid || isHost || isVerification
}
