// SPDX-License-Identifier: Apache-2.0

// Package recipe has the images of this project: what is in each and how it is run.
package recipe
