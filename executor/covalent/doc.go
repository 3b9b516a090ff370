// SPDX-License-Identifier: Apache-2.0

// Package covalent is the part of Covalent's executor contract that concerns its Python
// classes and files, and neither a cluster nor a store: how an executor is stored with a
// node, which states a job may have, the context of a dispatch, and the files of streams
// (covalent/executor/base.py).
package covalent
