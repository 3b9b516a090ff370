// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"
)

const (
	// checkInterval is far shorter than the time in which a certificate is renewed, and
	// is how long a revocation takes.
	checkInterval = time.Minute
	// firstInterval is the interval of a gateway that has no certificate.
	firstInterval = 2 * time.Second
	updateTimeout = 30 * time.Second
)

var errNoCertificate = errors.New("the certificate of the gateway was not read yet")

// Config configures a Keeper.
type Config struct {
	// Secrets and ConfigMaps are clients for the namespace of the gateway. Both objects
	// are a part of the installation: the gateway cannot create Secrets.
	Secrets               corev1client.SecretInterface
	ConfigMaps            corev1client.ConfigMapInterface
	SecretName, ConfigMap string
	// Names are the host names of the gateway.
	Names []string
	Log   *slog.Logger
	// Clock is the real clock by default.
	Clock clock.Clock
}

// Keeper renews the certificates and has the one that the server uses.
type Keeper struct {
	config  Config
	current atomic.Pointer[tls.Certificate]
	once    sync.Once
	ready   chan struct{}
}

// NewKeeper returns a Keeper that has no certificate yet.
func NewKeeper(config Config) *Keeper {
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	return &Keeper{config: config, ready: make(chan struct{})}
}

// Run renews the certificates until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	for {
		if err := k.Update(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Warn("updating the certificates", "error", err.Error())
		}
		interval := checkInterval
		if k.current.Load() == nil {
			interval = firstInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-k.config.Clock.After(interval):
		}
	}
}

// Update renews the certificates if it is time, and publishes the authorities. The
// certificate is used only after it is stored.
func (k *Keeper) Update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	secret, err := k.config.Secrets.Get(ctx, k.config.SecretName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the Secret of the certificates: %w", err)
	}
	data, err := Renew(secret.Data, k.config.Names, k.config.Clock.Now())
	if err != nil {
		return fmt.Errorf("renewing the certificates: %w", err)
	}
	if !maps.EqualFunc(data, secret.Data, bytes.Equal) {
		secret.Data = data
		if _, err := k.config.Secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("storing the certificates: %w", err)
		}
		k.config.Log.Info("renewed the certificates")
	}
	if err := k.publish(ctx, string(Trusted(data, k.config.Clock.Now()))); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(data[serverKey], data[serverPrivateKey])
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	k.current.Store(&pair)
	k.once.Do(func() { close(k.ready) })
	return nil
}

// publish writes the authorities for the clients.
func (k *Keeper) publish(ctx context.Context, trusted string) error {
	published, err := k.config.ConfigMaps.Get(ctx, k.config.ConfigMap, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the ConfigMap of the authorities: %w", err)
	}
	if published.Data[authorityKey] == trusted {
		return nil
	}
	published.Data = map[string]string{authorityKey: trusted}
	if _, err := k.config.ConfigMaps.Update(ctx, published, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("publishing the authorities: %w", err)
	}
	return nil
}

// Ready is closed when there is a certificate. A server must not accept connections
// before: clients do not retry a handshake that fails.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Certificate implements tls.Config.GetCertificate.
func (k *Keeper) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := k.current.Load(); current != nil {
		return current, nil
	}
	return nil, errNoCertificate
}

// Expiry returns when the certificate of the server expires; zero if there is none.
func (k *Keeper) Expiry() time.Time {
	if current := k.current.Load(); current != nil {
		return current.Leaf.NotAfter
	}
	return time.Time{}
}

// Hosts returns the host names of a Service.
func Hosts(service, namespace string) []string {
	name := service + "." + namespace + ".svc"
	return []string{name, name + ".cluster.local"}
}
