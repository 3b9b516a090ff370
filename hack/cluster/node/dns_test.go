// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
)

// Responses to a query for an address.
const (
	noError        = 0
	nameNotFound   = 3
	typeA          = 1
	headerBytes    = 12
	flagsOfAnswers = 0x8400
)

// dnsServer answers every query for an IPv4 address with address, or, without one, that
// the name does not exist. It returns where it listens.
func dnsServer(t *testing.T, address []byte) string {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			count, client, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(dnsAnswer(query[:count], address), client)
		}
	}()
	return server.LocalAddr().String()
}

func dnsAnswer(query, address []byte) []byte {
	// The question ends after the name's empty label, with a type and a class.
	nameEnd := headerBytes
	for query[nameEnd] != 0 {
		nameEnd += 1 + int(query[nameEnd])
	}
	question := query[headerBytes : nameEnd+5]
	isA := binary.BigEndian.Uint16(query[nameEnd+1:]) == typeA
	code, count := uint16(noError), uint16(0)
	switch {
	case len(address) == 0:
		code = nameNotFound
	case isA:
		count = 1
	}
	answer := append([]byte{}, query[:2]...)
	for _, field := range []uint16{flagsOfAnswers | code, 1, count, 0, 0} {
		answer = binary.BigEndian.AppendUint16(answer, field)
	}
	answer = append(answer, question...)
	if count == 1 {
		// The question's name, type A, class IN, a TTL of 5 seconds and 4 bytes.
		answer = append(answer, 0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 0, 5, 0, 4)
		answer = append(answer, address...)
	}
	return answer
}

func TestResolvesServices(t *testing.T) {
	tests := map[string]struct {
		address []byte
		want    string
	}{
		"the API server's address": {[]byte{10, 96, 0, 1}, ""},
		"another address":          {[]byte{192, 0, 2, 1}, "want 10.96.0.1"},
		"no such name yet":         {nil, "no such host"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := resolvesServices(t.Context(), dnsServer(t, test.address))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("resolvesServices = %v, want %q", err, test.want)
			}
		})
	}
}
