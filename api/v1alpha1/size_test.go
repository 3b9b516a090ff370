// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// specOfSize returns a spec with as many tasks, each with as many arguments of a
// length.
func specOfSize(t *testing.T, tasks, arguments, length int) string {
	t.Helper()
	command := make([]string, arguments)
	for i := range command {
		command[i] = strings.Repeat("x", length)
	}
	list := make([]map[string]any, tasks)
	for i := range list {
		list[i] = map[string]any{"nodeID": i, "command": command}
	}
	return toJSON(t, map[string]any{"tasks": list})
}

// specOfURIs returns a spec with as many inputs, each with a URI of a length.
func specOfURIs(t *testing.T, inputs, length int) string {
	t.Helper()
	uris := map[string]string{}
	for i := range inputs {
		uris[strconv.Itoa(1000+i)] = "file:///" + strings.Repeat("x", length-len("file:///"))
	}
	return toJSON(t, map[string]any{"assets": map[string]any{"inputs": uris}})
}

// specOfEnv returns a spec with as many variables, each with a value of a length.
func specOfEnv(t *testing.T, variables, length int) string {
	t.Helper()
	env := make([]map[string]string, variables)
	for i := range env {
		env[i] = map[string]string{"name": "A" + strconv.Itoa(i), "value": strings.Repeat("x", length)}
	}
	return toJSON(t, map[string]any{"pod": map[string]any{"env": env}})
}

func toJSON(t *testing.T, spec any) string {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSizeIsBounded bounds what the operator keeps in memory of a group: padding
// compresses, so that the bound of the encoded plan does not limit it.
func TestSizeIsBounded(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"one command of the greatest length":     {specOfSize(t, 8, 1, 32768), ""},
		"the most tasks with the most arguments": {specOfSize(t, 256, 128, 8), ""},
		"padded commands":                        {specOfSize(t, 45, 1, 32000), "spec.tasks: Invalid value: the commands must not have more than 262144 characters in total"},
		"one character more in every argument":   {specOfSize(t, 256, 128, 9), "the commands must not have more than 262144 characters in total"},
		"the most inputs":                        {specOfURIs(t, 1024, 512), ""},
		"padded inputs":                          {specOfURIs(t, 1024, 513), "spec.assets: Invalid value: the URIs of functions, inputs and hooks must not have more than 524288 characters in total"},
		"the most variables":                     {specOfEnv(t, 256, 1024), ""},
		"padded variables":                       {specOfEnv(t, 256, 1025), "spec.pod.env: Invalid value: the values must not have more than 262144 characters in total"},
	})
}

// TestSizesOfEarlierVersionsStayValid writes the status of a group that was created
// before the size was bounded.
func TestSizesOfEarlierVersionsStayValid(t *testing.T) {
	v := newValidators(t)
	old := groupOf(t, v, specOfSize(t, 45, 1, 32000))
	requireNone(t, v.writeStatus(t, withStatus(t, old, 45), old))
}
