// SPDX-License-Identifier: Apache-2.0

// Package tracing exports OpenTelemetry spans of finished TaskGroups.
//
//	TaskGroup                      creation to completion
//	├── Wait                       creation to the start of the first pod
//	└── Attempt, one per Job       end of the previous attempt to the end of this one
//	    └── Pod                    creation to the end of its container
//
// All times come from the status and from the pods, and all IDs are derived from UIDs, so
// that a span that is exported twice is the same span. This allows the Exporter to keep no
// state: it exports a group until the collector acknowledges it, and after a restart it
// exports again what finished within a window.
package tracing
