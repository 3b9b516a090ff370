// SPDX-License-Identifier: Apache-2.0

// Package podlog reads the log of a pod, in which the runner marks where each
// task begins and ends: "[taskgroup] task 3: started".
package podlog
