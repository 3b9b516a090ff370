package submission

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxSource is what one word of a task's command may have, in bytes.
const maxSource = 32768

// bootstrap runs a function of a file that is its second argument. Tracebacks
// have the file's name and lines, which Python itself would look for on disk; a
// result is printed.
const bootstrap = `import json, linecache, sys, traceback
name, source, function, args, kwargs = sys.argv[1:]
linecache.cache[name] = (len(source), None, source.splitlines(True), name)
module = {"__name__": "__taskgroup__", "__file__": name}
try:
    exec(compile(source, name, "exec"), module)
    result = module[function](*json.loads(args), **json.loads(kwargs))
except Exception:
    traceback.print_exc()
    sys.exit(1)
if result is not None:
    print(result)
`

// pythonCommand runs a function with what python3 the image has: no package is
// needed, and the file goes along in the object itself.
func (r *Request) pythonCommand() (command []string, function string, err error) {
	file, function, ok := cutLast(r.Python, ":")
	if !ok || file == "" || function == "" {
		return nil, "", fmt.Errorf("--python is file.py:function, not %q", r.Python)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("reading --python: %w", err)
	}
	switch {
	case len(source) > maxSource:
		return nil, "", fmt.Errorf("%s has %d bytes, at most %d fit in a task: put it into the image, or dispatch it with Covalent", file, len(source), maxSource)
	case !defines(string(source), function):
		return nil, "", fmt.Errorf("%s defines no function %q", file, function)
	}
	args := []any{}
	for _, arg := range r.Args {
		args = append(args, value(arg))
	}
	kwargs := map[string]any{}
	for name, arg := range r.Kwargs {
		kwargs[name] = value(arg)
	}
	positional, err := json.Marshal(args)
	named, namedErr := json.Marshal(kwargs)
	if err := errors.Join(err, namedErr); err != nil {
		return nil, "", fmt.Errorf("encoding the arguments: %w", err)
	}
	return []string{"python3", "-c", bootstrap, filepath.Base(file), string(source), function, string(positional), string(named)}, function, nil
}

// value is what JSON says, or else the text.
func value(text string) any {
	var v any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil || decoder.More() {
		return text
	}
	return v
}

// defines looks for a name at the top of a file, as def or by assignment.
func defines(source, name string) bool {
	for line := range strings.Lines(source) {
		for _, begin := range []string{"def ", "async def ", "class ", ""} {
			rest, ok := strings.CutPrefix(line, begin+name)
			if ok && strings.IndexAny(strings.TrimLeft(rest, " "), "(=:[") == 0 {
				return true
			}
		}
		// A name may also be imported.
		if strings.HasPrefix(line, "from ") && strings.Contains(line, name) {
			return true
		}
	}
	return false
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
