// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout is how long a process on the socket may take to accept.
const dialTimeout = time.Second

// listen makes the socket, for its user alone. It refuses one that another process
// serves and takes the place of one that a process left behind. A lock beside it
// keeps two processes that start at once apart; it ends with the process.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the socket's folder: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the socket's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("another process serves %s", path)
	}
	listener, err := bind(path)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &locked{Listener: listener, lock: lock}, nil
}

// bind listens where no other process does.
func bind(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("looking at the socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is no socket", path)
	default:
		if conn, err := net.DialTimeout("unix", path, dialTimeout); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("another process serves %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing a socket that nobody serves: %w", err)
		}
	}
	// The mask, not a later chmod: no process may connect in between.
	old := unix.Umask(0o177)
	listener, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return listener, nil
}

// locked is a listener with the lock of its socket.
type locked struct {
	net.Listener
	lock *os.File
}

// Close removes the socket, then gives up the lock. The lock's file stays: removing
// it would let two processes lock two files of its name.
func (l *locked) Close() error {
	return errors.Join(l.Listener.Close(), l.lock.Close())
}
