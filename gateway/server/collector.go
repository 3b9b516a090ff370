// SPDX-License-Identifier: Apache-2.0

package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// State is what the metrics report beside the requests.
type State struct {
	// Usage returns the bytes that count for the quota, by namespace; nil if they are
	// unknown.
	Usage func() map[string]int64
	// Quota returns the quota of a namespace in bytes; 0 is no quota. It is nil if there
	// are no quotas.
	Quota func(namespace string) int64
	// Space returns the space of the volume; nil for a bucket.
	Space func() (volume.Space, error)
	// CheckVolume returns an error if the volume is lost, or the bucket fails.
	CheckVolume func() error
	// Expiry returns when the certificate expires.
	Expiry func() time.Time
}

var (
	usageDesc = prometheus.NewDesc("taskgroup_gateway_namespace_bytes", "Bytes of the objects of a namespace, as they count for its quota.", []string{"namespace"}, nil)
	quotaDesc = prometheus.NewDesc("taskgroup_gateway_namespace_quota_bytes", "Quota of a namespace that has objects; absent without a quota.", []string{"namespace"}, nil)
	sizeDesc  = prometheus.NewDesc("taskgroup_gateway_volume_size_bytes", "Size of the file system of the volume.", nil, nil)
	freeDesc  = prometheus.NewDesc("taskgroup_gateway_volume_free_bytes", "Bytes of the file system of the volume that the gateway may still write.", nil, nil)
	writeDesc = prometheus.NewDesc("taskgroup_gateway_volume_writable", "1 if the file system of the volume accepts writes, 0 if it is read-only.", nil, nil)
	availDesc = prometheus.NewDesc("taskgroup_gateway_volume_available", "1 if the volume or the bucket is available, 0 if the volume is lost or the last request to the bucket failed.", nil, nil)
	certDesc  = prometheus.NewDesc("taskgroup_gateway_certificate_expiration_timestamp_seconds", "When the certificate of the server expires.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s State) Describe(all chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{usageDesc, quotaDesc, sizeDesc, freeDesc, writeDesc, availDesc, certDesc} {
		all <- desc
	}
}

// Collect implements prometheus.Collector.
func (s State) Collect(all chan<- prometheus.Metric) {
	s.collectUsage(all)
	s.collectSpace(all)
	all <- prometheus.MustNewConstMetric(availDesc, prometheus.GaugeValue, gauge(s.CheckVolume() == nil))
	if expiry := s.Expiry(); !expiry.IsZero() {
		all <- prometheus.MustNewConstMetric(certDesc, prometheus.GaugeValue, float64(expiry.Unix()))
	}
}

func (s State) collectUsage(all chan<- prometheus.Metric) {
	if s.Usage == nil {
		return
	}
	for namespace, bytes := range s.Usage() {
		all <- prometheus.MustNewConstMetric(usageDesc, prometheus.GaugeValue, float64(bytes), namespace)
		if s.Quota == nil {
			continue
		}
		if quota := s.Quota(namespace); quota > 0 {
			all <- prometheus.MustNewConstMetric(quotaDesc, prometheus.GaugeValue, float64(quota), namespace)
		}
	}
}

// collectSpace reports nothing about a volume that is lost.
func (s State) collectSpace(all chan<- prometheus.Metric) {
	if s.Space == nil {
		return
	}
	space, err := s.Space()
	if err != nil {
		return
	}
	all <- prometheus.MustNewConstMetric(sizeDesc, prometheus.GaugeValue, float64(space.Size))
	all <- prometheus.MustNewConstMetric(freeDesc, prometheus.GaugeValue, float64(space.Free))
	all <- prometheus.MustNewConstMetric(writeDesc, prometheus.GaugeValue, gauge(!space.IsReadOnly))
}

// gauge is the value of a gauge that is true or false.
func gauge(isTrue bool) float64 {
	if isTrue {
		return 1
	}
	return 0
}
