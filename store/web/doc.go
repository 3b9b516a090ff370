// SPDX-License-Identifier: Apache-2.0

// Package web is the store behind http:// and https://: GET, and PUT if the server accepts
// it. A URL is sent as it is written, byte for byte, since a change makes the signature of
// a signed one invalid. Folders of WebDAV are created.
package web
