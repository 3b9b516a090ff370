// SPDX-License-Identifier: Apache-2.0

// Command clireference writes the reference of the command line in Markdown: one
// section for each command, from the same texts as --help.
//
//	clireference OUTPUT.md
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/command"
)

const header = `# Command line reference

Generated from the program by ` + "`make generate`" + `. [cli.md](cli.md) introduces the commands.

`

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: clireference OUTPUT.md")
		return 2
	}
	page, err := render(command.Root(command.Config{}))
	if err == nil {
		err = os.WriteFile(args[0], page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

// render returns the page of a command and of all commands below it.
func render(root *cobra.Command) ([]byte, error) {
	root.DisableAutoGenTag = true
	// Else the reference depends on whether a command was executed before.
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	page := bytes.NewBufferString(header)
	if err := renderBelow(page, root); err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(page.Bytes(), "\n"), '\n'), nil
}

func renderBelow(page *bytes.Buffer, cmd *cobra.Command) error {
	var section bytes.Buffer
	if err := doc.GenMarkdownCustom(cmd, &section, anchor); err != nil {
		return fmt.Errorf("rendering %s: %w", cmd.CommandPath(), err)
	}
	page.WriteString(section.String())
	for _, child := range cmd.Commands() {
		if !child.IsAvailableCommand() || child.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := renderBelow(page, child); err != nil {
			return err
		}
	}
	return nil
}

// anchor returns the link to the section of a command, which package doc expects to be
// a page of its own.
func anchor(page string) string {
	return "#" + strings.ReplaceAll(strings.TrimSuffix(page, ".md"), "_", "-")
}
