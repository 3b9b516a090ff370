// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxTransportableHeader bounds the JSON header that is read, in bytes; it
// holds two versions, a docstring and a name.
const maxTransportableHeader = 1 << 20

// ErrNotTransportable reports that bytes are no TransportableObject.
var ErrNotTransportable = errors.New("not a Covalent TransportableObject")

// TransportableHeader is the JSON header of Covalent's TransportableObject
// (covalent/_workflow/transportable_object.py). The archive is: 8 bytes
// big-endian offset of the string, 8 bytes big-endian offset of the data, the
// header from byte 16 to the first, str(object) up to the second, then the
// base64 of the pickle to the end.
type TransportableHeader struct {
	// PythonVersion is major.minor.micro of the Python that pickled.
	PythonVersion      string `json:"py_version"`
	CloudpickleVersion string `json:"cloudpickle_version"`
}

// ReadTransportableHeader reads the header and nothing behind it, so that a
// wrong Python is reported before anything is unpickled.
func ReadTransportableHeader(r io.Reader) (*TransportableHeader, error) {
	var offsets [16]byte
	if _, err := io.ReadFull(r, offsets[:]); err != nil {
		return nil, fmt.Errorf("%w: reading the offsets: %w", ErrNotTransportable, err)
	}
	stringAt := binary.BigEndian.Uint64(offsets[:8])
	dataAt := binary.BigEndian.Uint64(offsets[8:])
	if stringAt < 16 || dataAt < stringAt || stringAt-16 > maxTransportableHeader {
		return nil, fmt.Errorf("%w: impossible offsets %d and %d", ErrNotTransportable, stringAt, dataAt)
	}
	raw := make([]byte, stringAt-16)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("%w: reading the header: %w", ErrNotTransportable, err)
	}
	var h TransportableHeader
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, fmt.Errorf("%w: decoding the header: %w", ErrNotTransportable, err)
	}
	return &h, nil
}
