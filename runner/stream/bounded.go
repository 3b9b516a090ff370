// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"unicode/utf8"
)

// DefaultLimit is how much of a stream is kept, in bytes.
const DefaultLimit = 64 << 20

// bounded is a file that keeps the head and the tail of what is written to it.
// The first half of the limit is written once; what follows goes around in the
// second half, so that the file never grows beyond the limit.
type bounded struct {
	file  *os.File
	limit int64
	// text is set if everything that is written is UTF-8: copySince then cuts no
	// character.
	text bool

	mu      sync.Mutex
	written int64
	err     error
}

func (b *bounded) head() int64 { return b.limit / 2 }
func (b *bounded) tail() int64 { return b.limit - b.head() }

// Write takes everything; the first error stops the file, not the writer: the
// task must not hang or die because the work directory is full.
func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(p)
	for len(p) > 0 && b.err == nil {
		at, room := b.position(b.written)
		part := p[:min(int64(len(p)), room)]
		_, b.err = b.file.WriteAt(part, at)
		b.written += int64(len(part))
		p = p[len(part):]
	}
	return n, nil
}

// position is where a byte of the stream is in the file, and how many bytes are
// contiguous from there on.
func (b *bounded) position(offset int64) (at, room int64) {
	if offset < b.head() {
		return offset, b.head() - offset
	}
	around := (offset - b.head()) % b.tail()
	return b.head() + around, b.tail() - around
}

// Len is how much was written so far, what was dropped included, in bytes.
func (b *bounded) Len() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.written
}

// Close puts the file in order; it returns the first error of the file.
func (b *bounded) Close() error {
	err := b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.err, err, b.file.Close())
}

// settle replaces the file by one that can be read from beginning to end.
func (b *bounded) settle() error {
	if b.Len() <= b.limit {
		return nil
	}
	path := b.file.Name()
	if err := b.snapshot(path + ".kept"); err != nil {
		return err
	}
	return os.Rename(path+".kept", path)
}

// copySince writes what follows the first offset bytes: at most the last limit bytes,
// and only those that are still kept. It holds the lock for one piece at a time. It
// returns the offset that follows the last byte written to w.
func (b *bounded) copySince(w io.Writer, offset, limit int64) (next int64, err error) {
	if !b.text {
		return b.copyPieces(w, offset, limit)
	}
	// A character before a gap may be cut, if the rest of it was overwritten. One at the
	// end is left to the next call: the stream may grow while its last piece is read.
	whole := &textWriter{w: w}
	next, err = b.copyPieces(whole, offset, limit)
	return next - int64(len(whole.text.pending)), err
}

func (b *bounded) copyPieces(w io.Writer, offset, limit int64) (next int64, err error) {
	length := b.Len()
	buf := make([]byte, bufferSize)
	for next = offset; next < length; {
		piece, from, err := b.readAt(buf, max(next, length-limit))
		if err != nil {
			return next, err
		}
		if from > next {
			if b.text {
				cut := continuation(piece)
				piece, from = piece[cut:], from+int64(cut)
			}
			if _, err := fmt.Fprintf(w, "\n[taskgroup] %d bytes are left out here\n", from-next); err != nil {
				return next, err
			}
		}
		if _, err := w.Write(piece); err != nil {
			return next, err
		}
		next = from + int64(len(piece))
	}
	return next, nil
}

// readAt reads bytes of the stream from an offset, or from a later one if those there
// were overwritten.
func (b *bounded) readAt(buf []byte, offset int64) (piece []byte, from int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, 0, b.err
	}
	from = offset
	if from >= b.head() {
		from = max(from, b.written-b.tail())
	}
	at, room := b.position(from)
	piece = buf[:min(int64(len(buf)), room, b.written-from)]
	_, err = b.file.ReadAt(piece, at)
	return piece, from, err
}

// snapshot writes what is kept so far to a file.
func (b *bounded) snapshot(path string) (err error) {
	dest, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dest.Close()) }()
	return b.copyTo(dest)
}

// copyTo writes what is kept, and between head and tail what was dropped. Where
// something was, no character is cut in two. The writer waits meanwhile: a tail that
// is overwritten while it is read would be no tail.
func (b *bounded) copyTo(w io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	source, err := os.Open(b.file.Name())
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	if b.written <= b.limit {
		_, err := io.Copy(w, io.NewSectionReader(source, 0, b.written))
		return err
	}
	head := b.head() - unfinished(source, b.head())
	at := b.head() + (b.written-b.head())%b.tail()
	tail := bufio.NewReader(io.MultiReader(
		io.NewSectionReader(source, at, b.limit-at), io.NewSectionReader(source, b.head(), at-b.head())))
	begun := discardContinuation(tail)
	if _, err := io.Copy(w, io.NewSectionReader(source, 0, head)); err != nil {
		return err
	}
	dropped := b.written - head - (b.tail() - begun)
	if _, err := fmt.Fprintf(w, "\n[taskgroup] %d bytes are left out here: of each stream, %d are kept\n", dropped, b.limit); err != nil {
		return err
	}
	_, err = io.Copy(w, tail)
	return err
}

// unfinished is how many bytes of a character that continues later end a head.
func unfinished(r io.ReaderAt, head int64) int64 {
	end := make([]byte, min(utf8.UTFMax-1, head))
	if _, err := r.ReadAt(end, head-int64(len(end))); err != nil {
		return 0
	}
	for i, c := range slices.Backward(end) {
		if !utf8.RuneStart(c) {
			continue
		}
		if utf8.FullRune(end[i:]) {
			return 0
		}
		return int64(len(end) - i)
	}
	return 0
}

// discardContinuation skips the bytes of a character that began earlier, and
// counts them.
func discardContinuation(r *bufio.Reader) int64 {
	begin, _ := r.Peek(utf8.UTFMax)
	n, _ := r.Discard(continuation(begin))
	return int64(n)
}
