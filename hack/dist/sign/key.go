// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// PasswordVariable is the environment variable of the password of a private key.
const PasswordVariable = "COSIGN_PASSWORD"

func password(bool) ([]byte, error) { return []byte(os.Getenv(PasswordVariable)), nil }

// GenerateKey writes an ECDSA key pair as PEM. The private key is encrypted if there is a
// password.
func GenerateKey(privateFile, publicFile string) error {
	encrypt := cryptoutils.PassFunc(password)
	if os.Getenv(PasswordVariable) == "" {
		encrypt = nil
	}
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), encrypt)
	if err != nil {
		return fmt.Errorf("generating a key: %w", err)
	}
	if err := os.WriteFile(privateFile, private, 0o600); err != nil {
		return fmt.Errorf("writing the private key: %w", err)
	}
	if err := os.WriteFile(publicFile, public, 0o644); err != nil {
		return fmt.Errorf("writing the public key: %w", err)
	}
	return nil
}

func loadSigner(file string) (signature.Signer, error) {
	signer, err := signature.LoadSignerFromPEMFile(file, crypto.SHA256, password)
	if err != nil {
		return nil, fmt.Errorf("loading the private key: %w", err)
	}
	return signer, nil
}

func loadVerifier(file string) (signature.Verifier, error) {
	verifier, err := signature.LoadVerifierFromPEMFile(file, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("loading the public key: %w", err)
	}
	return verifier, nil
}

// signBytes returns the base64 of a signature.
func signBytes(signer signature.Signer, message []byte) (string, error) {
	raw, err := signer.SignMessage(bytes.NewReader(message), options.NoOpOptionImpl{})
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

func verifyBytes(verifier signature.Verifier, encoded string, message []byte) error {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return fmt.Errorf("decoding a signature: %w", err)
	}
	if err := verifier.VerifySignature(bytes.NewReader(raw), bytes.NewReader(message)); err != nil {
		return fmt.Errorf("the signature is wrong: %w", err)
	}
	return nil
}
