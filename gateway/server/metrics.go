// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// metrics are the metrics of the requests.
type metrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	refusals  *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	transfers prometheus.Gauge
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "taskgroup_gateway_requests_total", Help: "Requests by method and HTTP status code.",
		}, []string{"method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "taskgroup_gateway_request_duration_seconds", Help: "Time from the header of a request to the end of its response.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"method"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "taskgroup_gateway_refusals_total", Help: "Requests that failed, by reason.",
		}, []string{"reason"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "taskgroup_gateway_object_bytes_total", Help: "Bytes of objects that were sent and received.",
		}, []string{"direction"}),
		transfers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "taskgroup_gateway_transfers", Help: "Transfers that are running.",
		}),
	}
}

func (m *metrics) register(registry *prometheus.Registry) error {
	var errs []error
	for _, collector := range []prometheus.Collector{m.requests, m.duration, m.refusals, m.bytes, m.transfers} {
		errs = append(errs, registry.Register(collector))
	}
	return errors.Join(errs...)
}

// observe records a request. The method of a caller may be any text.
func (m *metrics) observe(method string, code int, duration time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(method).Observe(duration.Seconds())
}

func (m *metrics) refused(reason contract.GatewayReason) {
	m.refusals.WithLabelValues(string(reason)).Inc()
}
