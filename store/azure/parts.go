package azure

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	partsAbove = 64 << 20
	leastPart  = 16 << 20
	mostParts  = 50_000
)

// PartsAbove implements store.Multipart.
func (*Store) PartsAbove() int64 { return partsAbove }

// PartSize implements store.Multipart.
func (*Store) PartSize(size int64) int64 {
	return max(leastPart, (size+mostParts-1)/mostParts)
}

// Begin implements store.Multipart. Azure has no beginning of an upload: blocks
// that no list refers to vanish after a week.
func (s *Store) Begin(_ context.Context, uri string) (store.Upload, error) {
	client, err := s.blob(uri)
	if err != nil {
		return nil, err
	}
	return &upload{client: client}, nil
}

// upload is a list of blocks that is not committed yet.
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
