// Package web is the store behind http:// and https://: GET, and PUT where the
// server takes it. A URL is sent as it is written, byte for byte, since a signed
// one is worth nothing otherwise.
package web
