// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Block is a fenced code block of a page.
type Block struct {
	// Page is the path of the page from the root of the repository, Line its first line
	// in it.
	Page string
	Line int
	// Language is the first word after the fence; empty for output.
	Language string
	Text     string
	// NotRun is why the tests do not run the block; empty if they do.
	NotRun string
}

// String is the place of a block, for messages.
func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

var (
	opening = regexp.MustCompile("^( *)```([a-z]*)")
	notRun  = regexp.MustCompile(`^ *<!-- not run: (.+) -->$`)
)

// pagePatterns select the pages with commands for users and contributors.
var pagePatterns = []string{"*.md", "docs/*.md", "docs/*/*.md", "python/*.md", "python/*/*.md", "hack/*/*.md", ".github/*.md"}

// Pages returns the paths of all pages from the root of the repository.
func Pages(root string) ([]string, error) {
	var pages []string
	for _, pattern := range pagePatterns {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("finding the pages: %w", err)
		}
		for _, path := range paths {
			page, err := filepath.Rel(root, path)
			if err != nil {
				return nil, fmt.Errorf("finding the pages: %w", err)
			}
			pages = append(pages, filepath.ToSlash(page))
		}
	}
	slices.Sort(pages)
	return pages, nil
}

// Blocks returns the code blocks of all pages in the given languages, or in all, in order.
func Blocks(root string, languages ...string) ([]Block, error) {
	pages, err := Pages(root)
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for _, page := range pages {
		raw, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			return nil, fmt.Errorf("reading a page: %w", err)
		}
		found, err := blocksOf(page, string(raw))
		if err != nil {
			return nil, err
		}
		for _, block := range found {
			if len(languages) == 0 || slices.Contains(languages, block.Language) {
				blocks = append(blocks, block)
			}
		}
	}
	return blocks, nil
}

// blocksOf returns the blocks of a page. A marker that is not directly above a block is
// an error.
func blocksOf(page, text string) ([]Block, error) {
	var blocks []Block
	var current *Block
	indent, reason := "", ""
	for i, line := range strings.Split(text, "\n") {
		switch start := opening.FindStringSubmatch(line); {
		case current != nil && strings.TrimSpace(line) == "```":
			blocks, current = append(blocks, *current), nil
		case current != nil:
			current.Text += strings.TrimPrefix(line, indent) + "\n"
		case start != nil:
			current = &Block{Page: page, Line: i + 1, Language: start[2], NotRun: reason}
			indent, reason = start[1], ""
		case reason != "":
			return nil, fmt.Errorf("%s:%d: the marker is not directly above a block", page, i)
		default:
			if match := notRun.FindStringSubmatch(line); match != nil {
				reason = match[1]
			}
		}
	}
	if current != nil {
		return nil, fmt.Errorf("%s does not end", current)
	}
	return blocks, nil
}
