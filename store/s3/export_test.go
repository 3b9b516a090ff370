// SPDX-License-Identifier: Apache-2.0

package s3

import "github.com/aws/aws-sdk-go-v2/service/s3"

// NewWith returns a Store that sends its requests by a client.
func NewWith(client s3.HTTPClient) *Store { return &Store{http: client} }
