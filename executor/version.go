// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// GetVersionInfo returns with which Python and Covalent the dispatch was made; empty
// without a Dispatcher (covalent/executor/base.py, get_version_info).
func (e *Executor) GetVersionInfo(ctx context.Context) (contract.VersionInfo, error) {
	var info contract.VersionInfo
	err := e.ask(ctx, VersionInfo, &info)
	return info, err
}

// imageFor picks the image with the Python that the functions were pickled with.
// A pickle of one minor version does not load in another; pods check it again.
func (o *Options) imageFor(info contract.VersionInfo) (string, error) {
	if o.Pod != nil && o.Pod.Image != "" {
		return o.Pod.Image, nil
	}
	parts := strings.SplitN(info.Python, ".", 3)
	if len(o.PythonImages) == 0 || len(parts) < 2 {
		return "", nil
	}
	minor := parts[0] + "." + parts[1]
	image, ok := o.PythonImages[minor]
	if !ok {
		return "", errorf(ErrInvalid, "no image for Python %s: add it to python_images, or name an image", minor)
	}
	return image, nil
}
