// SPDX-License-Identifier: Apache-2.0

// Package sign signs a release with a key, and verifies it. The signatures have the
// formats of cosign, so that "cosign verify-blob --key" verifies the checksums and
// "cosign verify --key" the images; cosign itself would be some hundred modules.
package sign
