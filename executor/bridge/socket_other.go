// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package bridge

import (
	"errors"
	"net"
)

// listen returns an error: the file mode of a socket does not restrict who connects, and
// Covalent does not run on such systems. The rest of the command line does.
func listen(string) (net.Listener, error) {
	return nil, errors.New("the executor needs a Unix system, such as Linux, macOS or the Windows Subsystem for Linux")
}
