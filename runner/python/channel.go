// SPDX-License-Identifier: Apache-2.0

package python

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// channel is the runner's end of the socket to the harness.
type channel struct {
	socket *os.File
	lines  *bufio.Reader
}

// newChannel returns both ends; theirs is for the harness and does not block.
func newChannel() (ours *channel, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the socket to the harness: %w", err)
	}
	// Only our end goes to Go's poller.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, nil, fmt.Errorf("opening the socket to the harness: %w", err)
	}
	socket := os.NewFile(uintptr(fds[0]), "harness")
	ours = &channel{socket: socket, lines: bufio.NewReader(socket)}
	return ours, os.NewFile(uintptr(fds[1]), "runner"), nil
}

// send sends one line, with descriptors attached to its first byte.
func (c *channel) send(message any, files ...*os.File) error {
	line, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	line = append(line, '\n')
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	sent, err := c.sendRights(line, unix.UnixRights(fds...))
	if err == nil && sent < len(line) {
		_, err = c.socket.Write(line[sent:])
	}
	if err != nil {
		return fmt.Errorf("sending a request to the harness: %w", err)
	}
	return nil
}

func (c *channel) sendRights(line, rights []byte) (int, error) {
	conn, err := c.socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var sent int
	var sendErr error
	err = conn.Write(func(fd uintptr) bool {
		sent, sendErr = unix.SendmsgN(int(fd), line, rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sendErr, unix.EAGAIN) && !errors.Is(sendErr, unix.EINTR)
	})
	return sent, errors.Join(err, sendErr)
}

// receive returns the next event; io.EOF after the harness terminated.
func (c *channel) receive() (*event, error) {
	line, err := c.lines.ReadBytes('\n')
	if err != nil {
		// A harness that dies with unread bytes resets the socket.
		if errors.Is(err, unix.ECONNRESET) {
			err = io.EOF
		}
		return nil, err
	}
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, fmt.Errorf("decoding what the harness said: %w", err)
	}
	return &e, nil
}

func (c *channel) close() { _ = c.socket.Close() }
