// Package azure is the store behind azblob://container/blob, which Covalent
// calls blob://: Azure Blob Storage. AZURE_STORAGE_ACCOUNT names the account; the
// credentials are the first of these that there are:
//
//	AZURE_STORAGE_CONNECTION_STRING
//	AZURE_STORAGE_KEY
//	AZURE_STORAGE_SAS_TOKEN
//	Azure's default chain: a service principal, workload identity, managed identity
package azure
