// SPDX-License-Identifier: Apache-2.0

package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what the metrics report beside the requests.
type State struct {
	// Usage returns the bytes that count for the quota, by namespace; nil if they are
	// unknown.
	Usage func() map[string]int64
	// CheckVolume returns an error if the volume is lost, or the bucket fails.
	CheckVolume func() error
	// Expiry returns when the certificate expires.
	Expiry func() time.Time
}

var (
	usageDesc = prometheus.NewDesc("taskgroup_gateway_namespace_bytes", "Bytes of the objects of a namespace, as they count for its quota.", []string{"namespace"}, nil)
	availDesc = prometheus.NewDesc("taskgroup_gateway_volume_available", "1 if the volume or the bucket is available, 0 if the volume is lost or the last request to the bucket failed.", nil, nil)
	certDesc  = prometheus.NewDesc("taskgroup_gateway_certificate_expiration_timestamp_seconds", "When the certificate of the server expires.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s State) Describe(all chan<- *prometheus.Desc) {
	all <- usageDesc
	all <- availDesc
	all <- certDesc
}

// Collect implements prometheus.Collector.
func (s State) Collect(all chan<- prometheus.Metric) {
	if s.Usage != nil {
		for namespace, bytes := range s.Usage() {
			all <- prometheus.MustNewConstMetric(usageDesc, prometheus.GaugeValue, float64(bytes), namespace)
		}
	}
	available := 0.0
	if s.CheckVolume() == nil {
		available = 1
	}
	all <- prometheus.MustNewConstMetric(availDesc, prometheus.GaugeValue, available)
	if expiry := s.Expiry(); !expiry.IsZero() {
		all <- prometheus.MustNewConstMetric(certDesc, prometheus.GaugeValue, float64(expiry.Unix()))
	}
}
