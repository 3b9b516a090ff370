// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/certs"
)

const day = 24 * time.Hour

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// installation is a Keeper and what it writes.
type installation struct {
	keeper *certs.Keeper
	client *fake.Clientset
	clock  *testingclock.FakeClock
}

func install(t *testing.T) *installation {
	t.Helper()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "system", Name: name} }
	i := &installation{
		client: fake.NewClientset(&corev1.Secret{ObjectMeta: meta("tls")}, &corev1.ConfigMap{ObjectMeta: meta("ca")}),
		clock:  testingclock.NewFakeClock(begin),
	}
	i.start()
	i.update(t)
	return i
}

// start replaces the process of the gateway.
func (i *installation) start() {
	i.keeper = certs.NewKeeper(certs.Config{
		Secrets: i.client.CoreV1().Secrets("system"), ConfigMaps: i.client.CoreV1().ConfigMaps("system"),
		SecretName: "tls", ConfigMap: "ca", Names: certs.Hosts("gateway", "system"), Log: slog.New(slog.DiscardHandler), Clock: i.clock,
	})
}

func (i *installation) update(t *testing.T) {
	t.Helper()
	if err := i.keeper.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// trusted returns what clients that start now trust.
func (i *installation) trusted(t *testing.T) string {
	t.Helper()
	published, err := i.client.CoreV1().ConfigMaps("system").Get(t.Context(), "ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return published.Data["ca.crt"]
}

// connect makes the handshake of a client that trusts certificates.
func (i *installation) connect(ctx context.Context, trusted, name string) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(trusted))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: i.keeper.Certificate})
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		if connection, err := listener.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, connection)
		}
	}()
	dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: name, Time: i.clock.Now}}
	connection, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
	if err == nil {
		err = connection.Close()
	}
	return err
}

func TestClientsConnect(t *testing.T) {
	i := install(t)
	for _, name := range []string{"gateway.system.svc", "gateway.system.svc.cluster.local"} {
		if err := i.connect(t.Context(), i.trusted(t), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := i.connect(t.Context(), i.trusted(t), "other.system.svc"); err == nil {
		t.Error("the certificate is valid for another name")
	}
	// A clock that is behind by a day.
	i.clock.SetTime(begin.Add(-day))
	if err := i.connect(t.Context(), i.trusted(t), "gateway.system.svc"); err != nil {
		t.Error(err)
	}
}

// TestReady requires that a gateway whose Secret cannot be read accepts no connections.
func TestReady(t *testing.T) {
	i := install(t)
	i.start()
	if err := i.client.CoreV1().Secrets("system").Delete(t.Context(), "tls", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	isReady := func() bool {
		select {
		case <-i.keeper.Ready():
			return true
		default:
			return false
		}
	}
	if err := i.keeper.Update(t.Context()); err == nil || isReady() || !i.keeper.Expiry().IsZero() {
		t.Errorf("without a Secret: error %v, ready %t", err, isReady())
	}
	if _, err := i.client.CoreV1().Secrets("system").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "tls"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	i.update(t)
	if !isReady() {
		t.Error("not ready with a certificate")
	}
}

// TestCertificatesAreKept requires that a restart changes nothing.
func TestCertificatesAreKept(t *testing.T) {
	i := install(t)
	i.client.ClearActions()
	i.clock.Step(59 * day)
	i.start()
	i.update(t)
	for _, action := range i.client.Actions() {
		if action.GetVerb() != "get" {
			t.Errorf("%s %s", action.GetVerb(), action.GetResource().Resource)
		}
	}
	i.clock.Step(2 * day)
	i.update(t)
	if want := begin.Add(61*day + 90*day); !i.keeper.Expiry().Equal(want) {
		t.Errorf("renewed until %s, want %s", i.keeper.Expiry(), want)
	}
}

// TestRotation requires that clients which know only the previous authority connect
// until it expires, and those which know only the new one do too.
func TestRotation(t *testing.T) {
	i := install(t)
	first := i.trusted(t)
	i.clock.Step(5*365*day + day)
	i.update(t)
	both := i.trusted(t)
	block, rest := pem.Decode([]byte(both))
	if string(rest) != first {
		t.Errorf("the previous authority is not trusted: %s", cmp.Diff(first, string(rest)))
	}
	clients := map[string]string{"old": first, "both": both, "new": string(pem.EncodeToMemory(block))}
	check := func(when string) {
		t.Helper()
		for client, trusted := range clients {
			if err := i.connect(t.Context(), trusted, "gateway.system.svc"); err != nil {
				t.Errorf("%s: a client with %s: %v", when, client, err)
			}
		}
	}
	check("after the rotation")
	i.clock.Step(61 * day)
	i.start()
	i.update(t)
	check("after the renewal of the server")
	if i.trusted(t) != both {
		t.Error("the renewal of the server changed the authorities")
	}
	// After the second rotation, the first authority is not needed any more: it
	// expires.
	i.clock.Step(5 * 365 * day)
	i.update(t)
	if err := i.connect(t.Context(), both, "gateway.system.svc"); err != nil {
		t.Error(err)
	}
	if err := i.connect(t.Context(), first, "gateway.system.svc"); err == nil {
		t.Error("an expired authority is trusted")
	}
}

// TestRevocation removes the data of the Secret.
func TestRevocation(t *testing.T) {
	i := install(t)
	first := i.trusted(t)
	secret, err := i.client.CoreV1().Secrets("system").Get(t.Context(), "tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = nil
	if _, err := i.client.CoreV1().Secrets("system").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	i.update(t)
	if err := i.connect(t.Context(), i.trusted(t), "gateway.system.svc"); err != nil {
		t.Error(err)
	}
	if err := i.connect(t.Context(), first, "gateway.system.svc"); err == nil {
		t.Error("the revoked authority is trusted")
	}
}

// FuzzRenew requires that any data of the Secret results in a valid certificate.
func FuzzRenew(f *testing.F) {
	valid, err := certs.Renew(nil, []string{"a"}, begin)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid["ca.crt"], valid["ca.key"], valid["tls.crt"], valid["tls.key"], valid["previous.crt"])
	f.Add([]byte("x"), []byte{}, valid["tls.crt"], valid["tls.key"], valid["ca.crt"])
	f.Add(valid["ca.crt"], valid["ca.key"], valid["tls.crt"], []byte("-----BEGIN"), append(valid["ca.crt"], valid["ca.crt"]...))
	f.Fuzz(func(t *testing.T, ca, caKey, server, serverKey, previous []byte) {
		renewed, err := certs.Renew(map[string][]byte{"ca.crt": ca, "ca.key": caKey, "tls.crt": server, "tls.key": serverKey, "previous.crt": previous}, []string{"a"}, begin)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(renewed["tls.crt"], renewed["tls.key"])
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(certs.Trusted(renewed, begin)) {
			t.Fatal("no authority")
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "a", CurrentTime: begin}); err != nil {
			t.Fatal(fmt.Errorf("verifying: %w", err))
		}
	})
}
