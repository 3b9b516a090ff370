// SPDX-License-Identifier: Apache-2.0

// Package check checks, in a task pod, what functions and results need: the Python of
// the image, and the stores of inputs and outputs with the credentials and the volumes of
// the pod.
package check
