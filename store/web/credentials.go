// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// The variables of credentials. They name the host, so that no other server gets them.
const (
	envHost     = "HTTP_STORE_HOST"
	envToken    = "HTTP_STORE_TOKEN" //nolint:gosec // the name of a variable
	envUser     = "HTTP_STORE_USER"
	envPassword = "HTTP_STORE_PASSWORD" //nolint:gosec // the name of a variable
	envNetrc    = "NETRC"
)

// credentials are the values of the Authorization header, by host or host:port.
type credentials map[string]string

// readCredentials reads the variables, and the file that NETRC names.
func readCredentials() (credentials, error) {
	found := credentials{}
	if path := os.Getenv(envNetrc); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the credentials that %s names: %w", envNetrc, err)
		}
		found.addNetrc(string(raw))
	}
	host, token, user := os.Getenv(envHost), os.Getenv(envToken), os.Getenv(envUser)
	switch {
	case token == "" && user == "":
		return found, nil
	case host == "":
		return nil, fmt.Errorf("%s or %s without a host: set %s to the host[:port] that may receive it", envToken, envUser, envHost)
	case strings.ContainsAny(host, "/@ "):
		return nil, errors.New(envHost + " is a host or host:port, without scheme and path")
	case token != "":
		found[strings.ToLower(host)] = "Bearer " + token
	default:
		found[strings.ToLower(host)] = basic(user, os.Getenv(envPassword))
	}
	return found, nil
}

// addNetrc adds the entries of a file in the format of ftp(1) and curl(1). The entry
// "default" is ignored: it would send a password to every server.
func (c credentials) addNetrc(text string) {
	var machine, login string
	fields := strings.Fields(text)
	for i := 0; i < len(fields); i++ {
		value := ""
		if i+1 < len(fields) {
			value = fields[i+1]
		}
		switch fields[i] {
		case "machine":
			machine, login = strings.ToLower(value), ""
		case "default":
			machine, login = "", ""
			continue
		case "login":
			login = value
		case "password":
			if machine != "" {
				c[machine] = basic(login, value)
			}
		case "account":
		default:
			continue
		}
		i++
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// authenticate adds the credentials of the host, unless the URL has some.
func (c credentials) authenticate(r *http.Request) {
	if r.URL.User != nil {
		return
	}
	for _, host := range []string{r.URL.Host, r.URL.Hostname()} {
		if value, ok := c[strings.ToLower(host)]; ok {
			r.Header.Set("Authorization", value)
			return
		}
	}
}
