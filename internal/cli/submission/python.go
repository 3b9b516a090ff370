// SPDX-License-Identifier: Apache-2.0

package submission

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxSource is what one word of a task's command may have, in bytes.
const maxSource = 32768

// bootstrap imports a file as a module of its own name, and calls a function of it.
// The file is on disk, because dataclasses, pickle, inspect.getsource and the
// processes that multiprocessing spawns look for a module there. sys.argv is that
// of a program without arguments, for functions that use argparse. A name that the
// standard library or an imported module has is extended, so that neither hides the
// other.
const bootstrap = `import importlib, inspect, json, os, sys, tempfile
name, source, function, args, kwargs = sys.argv[1:]
folder = tempfile.mkdtemp(prefix="submit-", dir=os.environ.get("TASKGROUP_DIR") or None)
module = os.path.splitext(name)[0].replace(".", "_")
while module in sys.modules or module in getattr(sys, "stdlib_module_names", ()):
    module += "_"
path = os.path.join(folder, module + ".py")
with open(path, "wb") as file:
    file.write(os.fsencode(source))
sys.argv = [path]
sys.path.insert(0, folder)
target = getattr(importlib.import_module(module), function, None)
if not callable(target):
    sys.exit("%s defines no function %r" % (name, function))
result = None
asynchronous = inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
if not asynchronous:
    result = target(*json.loads(args), **json.loads(kwargs))
    asynchronous = inspect.isawaitable(result) or inspect.isasyncgen(result)
if asynchronous:
    getattr(result, "close", bool)()
    sys.exit("%s is asynchronous and was not run: define a function that calls asyncio.run, such as: def main(): return asyncio.run(%s())" % (function, function))
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
	case !utf8.Valid(source):
		return nil, "", fmt.Errorf("%s is not encoded as UTF-8", file)
	case isAsync(source, function):
		return nil, "", fmt.Errorf("%s of %s is asynchronous: define a function that calls asyncio.run, such as: def main(): return asyncio.run(%s())", function, file, function)
	case !mentions(source, function):
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

// value is the value in JSON, or else the text.
func value(text string) any {
	var v any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil || decoder.More() {
		return text
	}
	return v
}

// isAsync reports whether a file defines the function as async def.
func isAsync(source []byte, function string) bool {
	return regexp.MustCompile(`(?m)^(?:\x{FEFF})?async[ \t]+def[ \t]+` + regexp.QuoteMeta(function) + `[ \t]*[(\[]`).Match(source)
}

// mentions reports whether a name may be defined in a file. Only Python itself can decide:
// a name may also be assigned, or imported in any of several ways.
func mentions(source []byte, name string) bool {
	return bytes.Contains(source, []byte(name)) || bytes.Contains(source, []byte("import *"))
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
