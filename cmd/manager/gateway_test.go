// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGatewayOptions(t *testing.T) {
	for flags, want := range map[string]string{
		"":                                     "",
		"--gateway-url=https://host":           "belong together",
		"--gateway-ca-file=/ca":                "belong together",
		"--gateway-url=http://host":            "is https://host or https://host:port",
		"--gateway-url=https://host/path":      "is https://host or https://host:port",
		"--gateway-url=https://user@host":      "is https://host or https://host:port",
		"--gateway-url=https://host:8443/":     "",
		"--gateway-url=https://gateway.ns.svc": "",
	} {
		args := []string{"--runner-image=r"}
		if flags != "" {
			args = append(args, flags)
		}
		if strings.Contains(flags, "gateway-url") && want != "belong together" {
			args = append(args, "--gateway-ca-file=/ca")
		}
		_, err := parseOptions(args, &bytes.Buffer{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}

// TestGatewayAuthorities: the file is the file of a ConfigMap which the gateway fills at its
// first start, and replaces.
func TestGatewayAuthorities(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	options := &Options{GatewayURL: "https://host/", GatewayCAFile: file}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantError := func(want string) {
		t.Helper()
		if _, err := options.gateway(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	wantError("has no certificate yet")
	write("\n")
	wantError("has no certificate yet")
	write("no PEM")
	wantError("has no certificate")
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	write(certificate)
	gateway, err := options.gateway()
	if err != nil || gateway.URL != "https://host" || gateway.Authorities != certificate {
		t.Errorf("%+v, %v", gateway, err)
	}
	if none, err := (&Options{}).gateway(); none != nil || err != nil {
		t.Errorf("without a gateway: %+v, %v", none, err)
	}
}
