// SPDX-License-Identifier: Apache-2.0

// Package azure is the store behind azblob://container/blob, which Covalent calls blob://:
// Azure Blob Storage. AZURE_STORAGE_ACCOUNT names the account. The credentials are the first
// of these that exist:
//
//	AZURE_STORAGE_CONNECTION_STRING
//	AZURE_STORAGE_KEY
//	AZURE_STORAGE_SAS_TOKEN
//	in a pod: workload identity, a service principal, or the managed identity
//	elsewhere: Azure's default chain
package azure
