package gcs

// NewAt returns a Store that reads and writes at another endpoint, with the credentials
// that it would use at Google's.
func NewAt(endpoint string) *Store { return &Store{at: endpoint} }
