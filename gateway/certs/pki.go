// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const day = 24 * time.Hour

const (
	// Each certificate is renewed when less than the second duration of its lifetime is
	// left. A pod that exists for longer than the authority has left after a rotation
	// would have to be recreated.
	authorityLifetime, authorityRenewal = 10 * 365 * day, 5 * 365 * day
	serverLifetime, serverRenewal       = 90 * day, 30 * day
	// backdate is by how much the clocks of clients may be behind.
	backdate = 7 * day
)

// The keys of the Secret and of the ConfigMap.
const (
	authorityKey, authorityPrivateKey = "ca.crt", "ca.key"
	serverKey, serverPrivateKey       = "tls.crt", "tls.key"
	previousKey                       = "previous.crt"
)

const pemCertificate, pemKey = "CERTIFICATE", "PRIVATE KEY"

var errPEM = errors.New("the data is not PEM")

// signer is a certificate and its private key.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// Renew returns the data of the Secret after everything that is missing, damaged, of
// other names or about to expire was replaced. It returns the same data if nothing was.
func Renew(data map[string][]byte, names []string, now time.Time) (map[string][]byte, error) {
	authority, err := parseSigner(data[authorityKey], data[authorityPrivateKey])
	var previous *signer
	if err == nil && authority.certificate.NotAfter.Sub(now) < authorityRenewal {
		previous = authority
	}
	if err == nil && previous == nil && isServer(data, authority, names, now) {
		return data, nil
	}
	renewed := map[string][]byte{}
	if err != nil || previous != nil {
		if authority, err = newAuthority(now); err != nil {
			return nil, err
		}
	} else {
		maps.Copy(renewed, data)
	}
	return renewed, issue(renewed, authority, previous, names, now)
}

// issue sets the certificates of an authority and of a server.
func issue(data map[string][]byte, authority, previous *signer, names []string, now time.Time) error {
	var err error
	data[authorityKey] = encode(pemCertificate, authority.certificate.Raw)
	if data[authorityPrivateKey], err = encodeKey(authority.key); err != nil {
		return err
	}
	if previous != nil {
		// A copy of the authority's certificate that the previous authority signs.
		cross, err := sign(&x509.Certificate{
			SerialNumber: authority.certificate.SerialNumber, Subject: authority.certificate.Subject,
			NotBefore: authority.certificate.NotBefore, NotAfter: previous.certificate.NotAfter,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: authority.certificate.KeyUsage,
			SubjectKeyId: authority.certificate.SubjectKeyId,
		}, authority.key, previous)
		if err != nil {
			return err
		}
		data[previousKey] = slices.Concat(encode(pemCertificate, previous.certificate.Raw), encode(pemCertificate, cross.Raw))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(serverLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key, authority)
	if err != nil {
		return err
	}
	data[serverKey] = encode(pemCertificate, server.Raw)
	if _, cross, err := parsePrevious(data[previousKey]); err == nil {
		data[serverKey] = append(data[serverKey], encode(pemCertificate, cross.Raw)...)
	}
	data[serverPrivateKey], err = encodeKey(key)
	return err
}

// isServer reports whether the certificate of the server can be used.
func isServer(data map[string][]byte, authority *signer, names []string, now time.Time) bool {
	pair, err := tls.X509KeyPair(data[serverKey], data[serverPrivateKey])
	return err == nil && slices.Equal(pair.Leaf.DNSNames, names) && pair.Leaf.CheckSignatureFrom(authority.certificate) == nil &&
		!now.Before(pair.Leaf.NotBefore) && pair.Leaf.NotAfter.Sub(now) >= serverRenewal
}

// Trusted returns the certificates of the authorities that clients trust.
func Trusted(data map[string][]byte, now time.Time) []byte {
	trusted := bytes.Clone(data[authorityKey])
	if previous, _, err := parsePrevious(data[previousKey]); err == nil && now.Before(previous.NotAfter) {
		trusted = append(trusted, encode(pemCertificate, previous.Raw)...)
	}
	return trusted
}

func newAuthority(now time.Time) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	own := &signer{key: key}
	own.certificate, err = sign(&x509.Certificate{
		// Two authorities with one name would be confused by clients that trust both.
		Subject:   pkix.Name{CommonName: "taskgroup-gateway " + rand.Text()},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key, own)
	return own, err
}

// sign returns a certificate for a key. The authority of its own is the template.
func sign(template *x509.Certificate, key crypto.Signer, authority *signer) (*x509.Certificate, error) {
	parent := authority.certificate
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), authority.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(raw)
}

func parseSigner(certificate, key []byte) (*signer, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &signer{pair.Leaf, pair.PrivateKey.(crypto.Signer)}, nil
}

// parsePrevious returns the previous authority, and the certificate of the present one
// that it has signed.
func parsePrevious(data []byte) (previous, cross *x509.Certificate, err error) {
	first, rest := pem.Decode(data)
	second, _ := pem.Decode(rest)
	if first == nil || second == nil {
		return nil, nil, errPEM
	}
	previous, err = x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, nil, err
	}
	cross, err = x509.ParseCertificate(second.Bytes)
	return previous, cross, err
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	return encode(pemKey, raw), err
}
