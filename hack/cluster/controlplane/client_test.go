package controlplane

import (
	"encoding/json"
	"testing"
)

func TestNotReady(t *testing.T) {
	tests := map[string]struct {
		node    string
		wantErr string
	}{
		"ready":           {`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, ""},
		"no report yet":   {`{}`, "the node did not report yet"},
		"network missing": {`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no CNI"}]}}`, "the node is not ready: no CNI"},
		"pods still stay off": {`{"spec":{"taints":[{"key":"node.kubernetes.io/not-ready"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`,
			"the node is still marked as not ready"},
		"other taints do not matter": {`{"spec":{"taints":[{"key":"gpu"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var node nodeObject
			if err := json.Unmarshal([]byte(test.node), &node); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := node.notReady(); err != nil {
				got = err.Error()
			}
			if got != test.wantErr {
				t.Errorf("notReady = %q, want %q", got, test.wantErr)
			}
		})
	}
}
