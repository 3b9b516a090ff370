// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"time"
)

// Stream shows the log of one container that may be opened several times. Each opening
// has to have timestamps and to begin at Since: lines that were shown before are
// skipped.
type Stream struct {
	log  log
	seed maphash.Seed
	// second is the time, in whole seconds, of the newest line that was shown.
	second time.Time
	// seen counts the lines of second by their hash. A set of lines, and not the time of
	// the last, because the runtime may write the lines of stdout and stderr in another
	// order than that of their times.
	seen map[uint64]int
	// open is the timestamp of a line that was shown in part, and shown its bytes.
	open  string
	shown int
}

// Stream returns a stream whose lines have the prefix.
func (w *Writer) Stream(prefix string) *Stream {
	return &Stream{log: log{Writer: w, prefix: prefix, fresh: true}, seed: maphash.MakeSeed(), seen: map[uint64]int{}}
}

// Since returns the time from which to open the log again; zero before the first line.
func (s *Stream) Since() time.Time { return s.second }

// Copy shows what r has after the lines that were shown before. It returns nil at the
// end of r, whose last line may be incomplete: it is shown by Close, or by the next Copy.
func (s *Stream) Copy(r io.Reader) error {
	reader := bufio.NewReaderSize(r, maxLine)
	line := line{stream: s, again: maps.Clone(s.seen)}
	for {
		part, err := reader.ReadSlice('\n')
		if err == nil || errors.Is(err, bufio.ErrBufferFull) {
			s.log.rest = s.log.rest[:0]
			if err := line.take(part); err != nil {
				return err
			}
			continue
		}
		if len(part) > 0 {
			s.log.rest = append(s.log.rest[:0], line.unshown(part)...)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("reading the log: %w", err)
	}
}

// Close shows an incomplete last line.
func (s *Stream) Close() error {
	if len(s.log.rest) > 0 {
		if err := s.log.take(s.log.rest); err != nil {
			return err
		}
	}
	return s.log.end()
}

// line is the line that is being read. It may arrive in several parts.
type line struct {
	stream *Stream
	// again counts the lines that this opening repeats.
	again map[uint64]int
	// inside is set after a part without the end of the line.
	inside bool
	// partial is set for a line that is shown in parts.
	partial bool
	// skipped is set for a line that was shown before.
	skipped bool
	// skip is the number of bytes of the line that were shown before.
	skip int
}

func (l *line) take(part []byte) error {
	s := l.stream
	text := part
	if !l.inside {
		text = l.begin(part)
	}
	ended := bytes.HasSuffix(part, []byte("\n"))
	l.inside = !ended
	if l.skipped {
		return nil
	}
	if ended && l.partial {
		l.partial, s.open = false, ""
	}
	n := min(l.skip, len(text))
	l.skip -= n
	s.shown += len(text) - n
	return s.log.take(text[n:])
}

// begin reads the timestamp of a line and returns the text after it.
func (l *line) begin(part []byte) []byte {
	s := l.stream
	stamp, text, ok := bytes.Cut(part, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	l.skipped, l.partial, l.skip = false, false, 0
	if !ok || err != nil {
		return part
	}
	if s.open != "" && s.open == string(stamp) {
		l.partial, l.skip = true, s.shown
		return text
	}
	hash := maphash.Bytes(s.seed, part)
	if l.again[hash] > 0 {
		l.again[hash]--
		l.skipped = true
		return nil
	}
	if second := at.Truncate(time.Second); second.After(s.second) {
		s.second = second
		clear(s.seen)
	}
	if !at.Before(s.second) {
		s.seen[hash]++
	}
	if !bytes.HasSuffix(part, []byte("\n")) {
		l.partial, s.open, s.shown = true, string(stamp), 0
	}
	return text
}

// unshown returns the text of an incomplete last line that was not shown.
func (l *line) unshown(part []byte) []byte {
	if l.inside {
		if l.skipped {
			return nil
		}
		return part[min(l.skip, len(part)):]
	}
	stamp, text, ok := bytes.Cut(part, []byte(" "))
	if _, err := time.Parse(time.RFC3339Nano, string(stamp)); !ok || err != nil {
		return part
	}
	return text
}
