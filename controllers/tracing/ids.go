// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"crypto/sha256"
	"strconv"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// parentOf returns the span that the annotations of a group name: the trace of the
// dispatch, if the dispatcher is traced. It is invalid without a valid annotation.
func parentOf(tg *v1alpha1.TaskGroup) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": tg.Annotations[v1alpha1.TraceparentAnnotation]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// traceID returns the trace of a group: that of its parent, or one for all groups of a
// dispatch, or one of its own.
func traceID(tg *v1alpha1.TaskGroup) trace.TraceID {
	if parent := parentOf(tg); parent.IsValid() {
		return parent.TraceID()
	}
	seed := "uid/" + string(tg.UID)
	if tg.Spec.DispatchID != "" {
		seed = "dispatch/" + tg.Spec.DispatchID
	}
	sum := sha256.Sum256([]byte(seed))
	return trace.TraceID(sum[:len(trace.TraceID{})])
}

// spanID returns the ID of a span of an object.
func spanID(kind string, uid types.UID) trace.SpanID {
	sum := sha256.Sum256([]byte(kind + "/" + string(uid)))
	return trace.SpanID(sum[:len(trace.SpanID{})])
}

func groupID(tg *v1alpha1.TaskGroup) trace.SpanID { return spanID("taskgroup", tg.UID) }

func waitID(tg *v1alpha1.TaskGroup) trace.SpanID { return spanID("wait", tg.UID) }

func attemptID(tg *v1alpha1.TaskGroup, attempt int32) trace.SpanID {
	return spanID("attempt/"+strconv.Itoa(int(attempt)), tg.UID)
}

func podID(uid types.UID) trace.SpanID { return spanID("pod", uid) }
