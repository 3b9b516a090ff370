// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

// maxLine is how much of a line is looked at at once; a longer one is passed on
// in parts.
const maxLine = 64 << 10

// mark is a line of the runner's. Where a task's last line has no end, the mark
// follows it on the same line.
var mark = regexp.MustCompile(`\[taskgroup\] task ([0-9]{1,19}): ([^\r\n]*)\r?\n?$`)

// Writer writes the logs of pods that are read side by side, line by line.
type Writer struct {
	W       io.Writer
	Palette terminal.Palette
	// Only is the one task that is shown; nil for all.
	Only *v1alpha1.NodeID

	// mu is shared by the writers of one output.
	mu *sync.Mutex
}

// NewWriter returns a writer of all tasks.
func NewWriter(w io.Writer, palette terminal.Palette) *Writer {
	return &Writer{W: w, Palette: palette, mu: &sync.Mutex{}}
}

// OnlyTask returns a writer to the same output that shows one task.
func (w *Writer) OnlyTask(node v1alpha1.NodeID) *Writer {
	only := *w
	only.Only = &node
	return &only
}

// Copy shows a pod's log. Each line has the prefix.
func (w *Writer) Copy(r io.Reader, prefix string) error {
	return w.copyFrom(r, &log{Writer: w, prefix: prefix, fresh: true})
}

// CopyWhole shows the log of the task Only if its begin is in the log, and reports
// whether it is: the kubelet deletes the oldest part of a long log.
func (w *Writer) CopyWhole(r io.Reader, prefix string) (whole bool, err error) {
	l := &log{Writer: w, prefix: prefix, fresh: true, onlyWhole: true}
	err = w.copyFrom(r, l)
	return l.begun, err
}

// CopyRest shows the log of the task Only, whose begin is missing: all up to the mark of
// its end.
func (w *Writer) CopyRest(r io.Reader, prefix string) error {
	return w.copyFrom(r, &log{Writer: w, prefix: prefix, fresh: true, current: w.Only})
}

func (w *Writer) copyFrom(r io.Reader, log *log) error {
	reader := bufio.NewReaderSize(r, maxLine)
	for {
		part, err := reader.ReadSlice('\n')
		if len(part) > 0 {
			if err := log.take(part); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return log.end()
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("reading the log: %w", err)
		}
	}
}

// log is one pod's.
type log struct {
	*Writer
	prefix string
	// current is the task whose turn it is; nil between tasks.
	current *v1alpha1.NodeID
	// fresh reports that a new line begins.
	fresh bool
	// onlyWhole omits a task without its begin, and begun is set at the begin of Only.
	onlyWhole, begun bool
	// rest is an incomplete last line that was not shown.
	rest []byte
}

func (l *log) take(part []byte) error {
	found := mark.FindSubmatchIndex(part)
	if found == nil {
		return l.write(part, l.current, terminal.Plain)
	}
	id, err := strconv.ParseInt(string(part[found[2]:found[3]]), 10, 64)
	if err != nil {
		return l.write(part, l.current, terminal.Plain)
	}
	node, what := v1alpha1.NodeID(id), string(part[found[4]:found[5]])
	before := part[:found[0]]
	if len(before) > 0 {
		if err := l.write(append(bytes.Clone(before), '\n'), l.current, terminal.Plain); err != nil {
			return err
		}
	}
	switch {
	case what == "started":
		l.current = &node
		l.begun = l.begun || l.Only != nil && node == *l.Only
	case isEnd(what):
		l.current = nil
	}
	return l.write(part[found[0]:], &node, terminal.Dim)
}

// isEnd reports whether a mark is the last one of a task. One of an upload that
// failed may follow another.
func isEnd(what string) bool {
	for _, begin := range []string{"completed in ", string(v1alpha1.TaskFailed) + ": ", string(v1alpha1.TaskCancelled) + ": "} {
		if strings.HasPrefix(what, begin) {
			return true
		}
	}
	return false
}

// write shows a part of a line, if it is of a task that is shown.
func (l *log) write(part []byte, node *v1alpha1.NodeID, colour terminal.Colour) error {
	if l.Only != nil && (node == nil || *node != *l.Only || l.onlyWhole && !l.begun) {
		return nil
	}
	text, ended := bytes.CutSuffix(part, []byte("\n"))
	line := l.Palette.Paint(colour, string(text))
	if l.fresh {
		line = l.prefix + line
	}
	l.fresh = ended
	if ended {
		line += "\n"
	}
	return l.print(line)
}

// end ends a last line that has no end.
func (l *log) end() error {
	if l.fresh {
		return nil
	}
	return l.print("\n")
}

func (l *log) print(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := io.WriteString(l.W, text); err != nil {
		return fmt.Errorf("writing the log: %w", err)
	}
	return nil
}
