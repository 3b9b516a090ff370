// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

var defaultParts = store.Parts{Above: 64 << 20, Least: 16 << 20, Most: 50_000}

// PartSizes implements store.Multipart.
func (s *Store) PartSizes() store.Parts { return cmp.Or(s.Parts, defaultParts) }

// Begin implements store.Multipart. Azure has no request for it: it deletes blocks that no
// list refers to after a week.
func (s *Store) Begin(_ context.Context, uri string) (store.Upload, error) {
	client, err := s.blob(uri)
	if err != nil {
		return nil, err
	}
	return &upload{client: client}, nil
}

// upload is a list of blocks that is not committed.
type upload struct {
	client *blockblob.Client
	blocks []string
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, number int, r *store.Reader) error {
	id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%08d", number))
	if _, err := u.client.StageBlock(ctx, id, r, nil); err != nil {
		return failure(err)
	}
	u.blocks = append(u.blocks[:number], id)
	return nil
}

// Complete implements store.Upload.
func (u *upload) Complete(ctx context.Context) error {
	_, err := u.client.CommitBlockList(ctx, u.blocks, nil)
	return failure(err)
}

// Abort implements store.Upload.
func (*upload) Abort(context.Context) {}
