// SPDX-License-Identifier: Apache-2.0

// Coredns is CoreDNS with the plugins that the configuration of a cluster's DNS uses. With all
// plugins, it also contains the client libraries of cloud providers and takes minutes to build.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() { coremain.Run() }
