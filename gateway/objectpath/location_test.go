// SPDX-License-Identifier: Apache-2.0

package objectpath_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

const uid = "7b0d3c4e-1f53-4d0e-9f0c-5a3f5f1f2c11"

var digest = strings.Repeat("0a", 32)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		path string
		want objectpath.Location
		err  string
	}{
		"content":            {"/v1/namespaces/team-a/content/" + digest, objectpath.Location{Namespace: "team-a", Digest: digest}, ""},
		"an output":          {"/v1/namespaces/a/groups/" + uid + "/a1/7/output", objectpath.Location{Namespace: "a", UID: uid, Attempt: 1, Name: "7/output"}, ""},
		"a segment":          {"/v1/namespaces/a/groups/" + uid + "/a12/7/stdout.segments/3", objectpath.Location{Namespace: "a", UID: uid, Attempt: 12, Name: "7/stdout.segments/3"}, ""},
		"a manifest":         {"/v1/namespaces/a/groups/" + uid + "/a1/manifest.json", objectpath.Location{Namespace: "a", UID: uid, Attempt: 1, Name: "manifest.json"}, ""},
		"nothing":            {"", objectpath.Location{}, "does not begin with"},
		"another version":    {"/v2/namespaces/a/content/" + digest, objectpath.Location{}, "does not begin with"},
		"a relative path":    {"v1/namespaces/a/content/" + digest, objectpath.Location{}, "does not begin with"},
		"an absolute URL":    {"http://host/v1/namespaces/a/content/" + digest, objectpath.Location{}, "does not begin with"},
		"two slashes":        {"//v1/namespaces/a/content/" + digest, objectpath.Location{}, "does not begin with"},
		"no namespace":       {"/v1/namespaces//content/" + digest, objectpath.Location{}, "namespace"},
		"upper case":         {"/v1/namespaces/A/content/" + digest, objectpath.Location{}, "namespace"},
		"dots as namespace":  {"/v1/namespaces/../content/" + digest, objectpath.Location{}, "namespace"},
		"a long namespace":   {"/v1/namespaces/" + strings.Repeat("a", 64) + "/content/" + digest, objectpath.Location{}, "namespace"},
		"no area":            {"/v1/namespaces/a", objectpath.Location{}, "neither"},
		"another area":       {"/v1/namespaces/a/tmp/x", objectpath.Location{}, "neither"},
		"a short digest":     {"/v1/namespaces/a/content/" + digest[:63], objectpath.Location{}, "digest"},
		"an upper digest":    {"/v1/namespaces/a/content/" + strings.ToUpper(digest), objectpath.Location{}, "digest"},
		"a slash at its end": {"/v1/namespaces/a/content/" + digest + "/", objectpath.Location{}, "digest"},
		"dots as digest":     {"/v1/namespaces/a/content/..", objectpath.Location{}, "digest"},
		"no UID":             {"/v1/namespaces/a/groups//a1/x", objectpath.Location{}, "UID"},
		"dots as UID":        {"/v1/namespaces/a/groups/../a1/x", objectpath.Location{}, "UID"},
		"no attempt":         {"/v1/namespaces/a/groups/" + uid + "/x/y", objectpath.Location{}, "attempt"},
		"attempt 0":          {"/v1/namespaces/a/groups/" + uid + "/a0/y", objectpath.Location{}, "attempt"},
		"attempt 01":         {"/v1/namespaces/a/groups/" + uid + "/a01/y", objectpath.Location{}, "attempt"},
		"attempt +1":         {"/v1/namespaces/a/groups/" + uid + "/a+1/y", objectpath.Location{}, "attempt"},
		"a large attempt":    {"/v1/namespaces/a/groups/" + uid + "/a2147483648/y", objectpath.Location{}, "attempt"},
		"no name":            {"/v1/namespaces/a/groups/" + uid + "/a1/", objectpath.Location{}, "part"},
		"no name at all":     {"/v1/namespaces/a/groups/" + uid + "/a1", objectpath.Location{}, "part"},
		"an empty part":      {"/v1/namespaces/a/groups/" + uid + "/a1/7//output", objectpath.Location{}, "part"},
		"a dot":              {"/v1/namespaces/a/groups/" + uid + "/a1/./output", objectpath.Location{}, "part"},
		"two dots":           {"/v1/namespaces/a/groups/" + uid + "/a1/../output", objectpath.Location{}, "part"},
		"escaped dots":       {"/v1/namespaces/a/groups/" + uid + "/a1/%2e%2e/output", objectpath.Location{}, "part"},
		"an escaped slash":   {"/v1/namespaces/a/groups/" + uid + "/a1/7%2foutput", objectpath.Location{}, "part"},
		"an escape twice":    {"/v1/namespaces/a/groups/" + uid + "/a1/%252e", objectpath.Location{}, "part"},
		"NUL":                {"/v1/namespaces/a/groups/" + uid + "/a1/x\x00y", objectpath.Location{}, "part"},
		"escaped NUL":        {"/v1/namespaces/a/groups/" + uid + "/a1/x%00y", objectpath.Location{}, "part"},
		"a backslash":        {"/v1/namespaces/a/groups/" + uid + `/a1/..\x`, objectpath.Location{}, "part"},
		"a hidden file":      {"/v1/namespaces/a/groups/" + uid + "/a1/.x", objectpath.Location{}, "part"},
		"a line feed":        {"/v1/namespaces/a/groups/" + uid + "/a1/x\n", objectpath.Location{}, "part"},
		"beyond ASCII":       {"/v1/namespaces/a/groups/" + uid + "/a1/é", objectpath.Location{}, "part"},
		"a long part":        {"/v1/namespaces/a/groups/" + uid + "/a1/" + strings.Repeat("x", 129), objectpath.Location{}, "part"},
		"10,000 characters":  {"/v1/namespaces/a/groups/" + uid + "/a1/" + strings.Repeat("x", 10000), objectpath.Location{}, "more than 1024 bytes"},
		"9 parts":            {"/v1/namespaces/a/groups/" + uid + "/a1/1/2/3/4/5/6/7/8/9", objectpath.Location{}, "more than 8 parts"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := objectpath.Parse(tc.path)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
		})
	}
}

// FuzzParse requires that a path that is accepted has one form only, and stays below
// its namespace and its area.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/v1/namespaces/a/content/" + digest, "/v1/namespaces/a/groups/" + uid + "/a1/7/output", "/v1/namespaces/a/groups/" + uid + "/a1/../../../x",
		"/v1/namespaces/a/groups/" + uid + "/a1/%2e%2e/x", "/v1/namespaces/a/groups/" + uid + "/a1/x\x00", "/v1/namespaces/../content/" + digest, "",
		"/v1/namespaces/a/groups/" + uid + "/a1/" + strings.Repeat("x/", 5000), `/v1/namespaces/a/groups/` + uid + `/a1/..\..`, "/v1/namespaces/a//content",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := objectpath.Parse(text)
		if err != nil {
			if l != (objectpath.Location{}) {
				t.Errorf("a location with an error: %+v", l)
			}
			return
		}
		area := contract.GatewayContent
		if !l.IsContent() {
			area = contract.GatewayGroups
		}
		base := contract.GatewayPrefix + l.Namespace + "/" + area + "/"
		if !strings.HasPrefix(text, base) || text != contract.GatewayPrefix+l.Namespace+"/"+l.Path() || path.Clean(text) != text || strings.ContainsAny(text, "%\\\x00?#") {
			t.Errorf("%q is %+v", text, l)
		}
		if uriPath, err := contract.GatewayPath(l.URI()); err != nil || uriPath != text {
			t.Errorf("the URI %s has the path %q, %v", l.URI(), uriPath, err)
		}
	})
}
