// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Size is the size of a terminal, in characters.
type Size struct{ Width, Height int }

// fallback is the size of outputs that report none.
var fallback = Size{Width: 100, Height: 24}

// fder is a file; it is what a terminal is.
type fder interface{ Fd() uintptr }

// Is reports whether w is a terminal that can move its cursor.
func Is(w io.Writer) bool {
	file, ok := w.(fder)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// SizeOf is the size of the terminal that w is, as it is now.
func SizeOf(w io.Writer) Size {
	file, ok := w.(fder)
	if !ok {
		return fallback
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return fallback
	}
	return Size{Width: width, Height: height}
}

// Palette colours words. The zero value leaves them as they are.
type Palette struct{ on bool }

// PaletteOf colours on a terminal, unless NO_COLOR is set to anything
// (https://no-color.org).
func PaletteOf(w io.Writer) Palette {
	return Palette{on: Is(w) && os.Getenv("NO_COLOR") == ""}
}

// Colour is one of the terminal's own, so that it suits its background.
type Colour string

// The colours, as SGR parameters.
const (
	Plain  Colour = ""
	Bold   Colour = "1"
	Dim    Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Blue   Colour = "34"
	Cyan   Colour = "36"
)

// Paint returns the text in a colour.
func (p Palette) Paint(c Colour, text string) string {
	if !p.on || c == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
