// SPDX-License-Identifier: Apache-2.0

package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"

	"k8s.io/client-go/util/jsonpath"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
)

// The formats with an expression, as FORMAT=EXPRESSION.
const (
	JSONPath      Format = "jsonpath"
	GoTemplate    Format = "go-template"
	CustomColumns Format = "custom-columns"
)

// Printer prints lists with the expression of a format.
type Printer func(w io.Writer, groups []v1alpha1.TaskGroup, headers bool) error

// ParseTemplate returns the printer of a format with an expression; nil for the other
// formats.
func ParseTemplate(format Format) (Printer, error) {
	name, expression, given := strings.Cut(string(format), "=")
	var printer Printer
	var err error
	switch Format(name) {
	case JSONPath:
		printer, err = jsonPathPrinter(expression)
	case GoTemplate:
		printer, err = templatePrinter(expression)
	case CustomColumns:
		printer, err = columnsPrinter(expression)
	default:
		return nil, nil
	}
	if !given || expression == "" {
		return nil, fmt.Errorf("--output %s needs an expression: %s=EXPRESSION", name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading --output %s: %w", name, err)
	}
	return printer, nil
}

// Path returns a JSONPath of a field, with or without the braces and the first dot.
func Path(expression string) (*jsonpath.JSONPath, error) {
	expression = strings.TrimSuffix(strings.TrimPrefix(expression, "{"), "}")
	path := jsonpath.New("field").AllowMissingKeys(true)
	if err := path.Parse("{." + strings.TrimPrefix(expression, ".") + "}"); err != nil {
		return nil, fmt.Errorf("reading the path %q: %w", expression, err)
	}
	return path, nil
}

func jsonPathPrinter(expression string) (Printer, error) {
	path := jsonpath.New("output").AllowMissingKeys(true)
	if err := path.Parse(expression); err != nil {
		return nil, err
	}
	return func(w io.Writer, groups []v1alpha1.TaskGroup, _ bool) error {
		list, err := listObject(groups)
		if err != nil {
			return err
		}
		return path.Execute(w, list)
	}, nil
}

func templatePrinter(expression string) (Printer, error) {
	parsed, err := template.New("output").Parse(expression)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer, groups []v1alpha1.TaskGroup, _ bool) error {
		list, err := listObject(groups)
		if err != nil {
			return err
		}
		return parsed.Execute(w, list)
	}, nil
}

func columnsPrinter(expression string) (Printer, error) {
	var header []string
	var paths []*jsonpath.JSONPath
	for column := range strings.SplitSeq(expression, ",") {
		title, field, ok := strings.Cut(column, ":")
		if !ok {
			return nil, fmt.Errorf("a column is NAME:.path, not %q", column)
		}
		path, err := Path(field)
		if err != nil {
			return nil, err
		}
		header, paths = append(header, title), append(paths, path)
	}
	return func(w io.Writer, groups []v1alpha1.TaskGroup, headers bool) error {
		out := table.Table{Header: header, NoHeader: !headers}
		for i := range groups {
			object, err := Object(&groups[i])
			if err != nil {
				return err
			}
			var row []table.Cell
			for _, path := range paths {
				var text strings.Builder
				if err := path.Execute(&text, object); err != nil {
					return fmt.Errorf("printing a column: %w", err)
				}
				row = append(row, table.Text(text.String()))
			}
			out.Add(row...)
		}
		out.Fprint(w)
		return nil
	}, nil
}

// Object returns a group as JSON decodes it, for paths and templates.
func Object(tg *v1alpha1.TaskGroup) (any, error) { return decoded(presentable(tg)) }

func listObject(groups []v1alpha1.TaskGroup) (any, error) {
	var text strings.Builder
	if err := PrintList(&text, JSON, groups); err != nil {
		return nil, err
	}
	return decodedText(text.String())
}

func decoded(value any) (any, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return decodedText(string(raw))
}

func decodedText(text string) (any, error) {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return value, nil
}
