// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/access"
)

func TestToken(t *testing.T) {
	const authorization, own = "Authorization", contract.GatewayTokenHeader
	cases := map[string]struct {
		header http.Header
		token  string
		caller access.Caller
		fails  bool
	}{
		"none":                     {http.Header{}, "", access.Pod, false},
		"a pod":                    {http.Header{authorization: {"Bearer a.b-c_d"}}, "a.b-c_d", access.Pod, false},
		"lower case":               {http.Header{authorization: {"bearer x"}}, "x", access.Pod, false},
		"a dispatcher":             {http.Header{own: {"x.y"}}, "x.y", access.Dispatcher, false},
		"basic":                    {http.Header{authorization: {"Basic eDp5"}}, "", "", true},
		"no scheme":                {http.Header{authorization: {"x"}}, "", "", true},
		"an empty token":           {http.Header{authorization: {"Bearer "}}, "", "", true},
		"an empty header":          {http.Header{own: {""}}, "", "", true},
		"a space":                  {http.Header{authorization: {"Bearer x y"}}, "", "", true},
		"a line feed":              {http.Header{own: {"x\ny"}}, "", "", true},
		"both":                     {http.Header{authorization: {"Bearer x"}, own: {"y"}}, "", "", true},
		"two":                      {http.Header{own: {"x", "y"}}, "", "", true},
		"more than 16,384 bytes":   {http.Header{own: {strings.Repeat("x", 16385)}}, "", "", true},
		"a scheme for dispatchers": {http.Header{own: {"Bearer x"}}, "", "", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			token, caller, err := access.Token(tc.header)
			if token != tc.token || caller != tc.caller || (err != nil) != tc.fails {
				t.Errorf("%q, %s, %v", token, caller, err)
			}
		})
	}
}

// FuzzToken requires that a token has no character that could end a header or a line of
// a log.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"Bearer x", "Bearer  x", "bearer\tx", "Bearer x\r\nX: y", "Bearer \x00", "x", "", "Bearer é", strings.Repeat("x", 20000)} {
		f.Add(seed, "")
		f.Add("", seed)
	}
	f.Fuzz(func(t *testing.T, authorization, own string) {
		header := http.Header{}
		if authorization != "" {
			header.Set("Authorization", authorization)
		}
		if own != "" {
			header.Set(contract.GatewayTokenHeader, own)
		}
		token, caller, err := access.Token(header)
		if err != nil && token != "" || strings.ContainsAny(token, " \t\r\n\x00,;\"") {
			t.Errorf("token %q, %v", token, err)
		}
		if token != "" && !strings.HasSuffix(map[access.Caller]string{access.Pod: authorization, access.Dispatcher: own}[caller], token) {
			t.Errorf("token %q of %s", token, caller)
		}
	})
}
