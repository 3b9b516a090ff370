// SPDX-License-Identifier: Apache-2.0

package access

import (
	"errors"
	"net/http"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// maxToken bounds a token. Those of Kubernetes have about 1,200 bytes.
const maxToken = 16 << 10

var (
	errTwoTokens = errors.New("the request has more than one token")
	errToken     = errors.New("the token is not a bearer token")
)

// Token returns the token of a request and the kind of its caller. A request without a
// token has an empty one.
func Token(header http.Header) (string, Caller, error) {
	pods, dispatchers := header.Values("Authorization"), header.Values(contract.GatewayTokenHeader)
	switch {
	case len(pods)+len(dispatchers) > 1:
		return "", "", errTwoTokens
	case len(dispatchers) == 1:
		if !isToken(dispatchers[0]) {
			return "", "", errToken
		}
		return dispatchers[0], Dispatcher, nil
	case len(pods) == 1:
		scheme, token, _ := strings.Cut(pods[0], " ")
		if !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
			return "", "", errToken
		}
		return token, Pod, nil
	}
	return "", Pod, nil
}

// isToken reports whether a text has only the characters of RFC 6750.
func isToken(text string) bool {
	return text != "" && len(text) <= maxToken && !strings.ContainsFunc(text, func(r rune) bool {
		isAlphanumeric := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !isAlphanumeric && !strings.ContainsRune("-._~+/=", r)
	})
}
