// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"testing"

	"github.com/creack/pty"
)

func TestColoursAreForTerminals(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	defer master.Close()
	defer slave.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if got := PaletteOf(slave).Paint(Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("on a terminal: %q", got)
	}
	if got := PaletteOf(&bytes.Buffer{}).Paint(Red, "x"); got != "x" {
		t.Errorf("into a buffer: %q", got)
	}
	t.Setenv("NO_COLOR", "1")
	if got := PaletteOf(slave).Paint(Red, "x"); got != "x" {
		t.Errorf("with NO_COLOR: %q", got)
	}
	t.Setenv("TERM", "dumb")
	if Is(slave) {
		t.Error("a dumb terminal cannot move its cursor")
	}
}

func TestSize(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	defer master.Close()
	defer slave.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 7, Cols: 33}); err != nil {
		t.Fatal(err)
	}
	if got := SizeOf(slave); got != (Size{33, 7}) {
		t.Errorf("size is %v", got)
	}
	if got := SizeOf(&bytes.Buffer{}); got != fallback {
		t.Errorf("a buffer's size is %v", got)
	}
}
