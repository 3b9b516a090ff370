// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
)

// The name of a host is looked up here, without a network.
func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serveDNS(server)
		return client, nil
	}}
}

// Answers are the names that exist, all of them at 127.0.0.1.
var (
	mu sync.Mutex
	// unknown is how often a name is not found before it is.
	unknown = map[string]int{}
)

// addHost adds a name that is not found for some lookups.
func addHost(name string, failures int) {
	mu.Lock()
	defer mu.Unlock()
	unknown[name] = failures
}

// serveDNS responds to queries, each with its length before it as over TCP (RFC 1035).
func serveDNS(connection net.Conn) {
	defer connection.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(connection, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(connection, query); err != nil {
			return
		}
		response := respond(query)
		if _, err := connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(response))), response...)); err != nil {
			return
		}
	}
}

func respond(query []byte) []byte {
	const header, typeA = 12, 1
	var labels []string
	at := header
	for ; query[at] != 0; at += int(query[at]) + 1 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
	}
	isA := binary.BigEndian.Uint16(query[at+1:]) == typeA
	exists := lookup(strings.Join(labels, "."), isA)
	var flags, answers uint16 = 0x8180, 0
	if !exists {
		flags |= 3 // the name does not exist
	} else if isA {
		answers = 1
	}
	response := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{flags, 1, answers, 0, 0} {
		response = binary.BigEndian.AppendUint16(response, field)
	}
	response = append(response, query[header:at+5]...)
	if answers == 1 {
		// The name of the question, A, IN, no caching, four bytes.
		response = append(response, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return response
}

func lookup(name string, isA bool) bool {
	mu.Lock()
	defer mu.Unlock()
	failures, ok := unknown[name]
	if ok && isA && failures > 0 {
		unknown[name] = failures - 1
		return false
	}
	return ok
}
