// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"strings"
)

// The asset gateway stores objects of a namespace below GatewayPrefix. A URI
// gateway://<namespace>/<path> names the object <prefix><namespace>/<path>.
const (
	// GatewayScheme is the scheme of the URIs of the gateway's objects.
	GatewayScheme = "gateway"
	// GatewayPrefix is the beginning of every path of an object.
	GatewayPrefix = "/v1/namespaces/"
	// GatewayContent is the area of objects that are named by their SHA-256.
	GatewayContent = "content"
	// GatewayGroups is the area of results, by the UID of the TaskGroup.
	GatewayGroups = "groups"
	// GatewayAudience is the audience of the tokens that the gateway accepts.
	GatewayAudience = "taskgroup-gateway"
	// GatewayTokenHeader has the token of a dispatcher: the service proxy of the API
	// server removes Authorization.
	GatewayTokenHeader = "Taskgroup-Gateway-Token" //nolint:gosec // the name of a header

	// GatewayURLEnv is the variable of a pod that holds the URL of the gateway,
	// without a path.
	GatewayURLEnv = "TASKGROUP_GATEWAY_URL"
	// GatewayTokenEnv is the variable that holds the path of the file with the pod's
	// token.
	GatewayTokenEnv = "TASKGROUP_GATEWAY_TOKEN_FILE" //nolint:gosec // the name of a variable
	// GatewayCAEnv is the variable that holds the path of the file with the
	// certificates of the gateway's authorities.
	GatewayCAEnv = "TASKGROUP_GATEWAY_CA_FILE"
)

// IsGatewayURI reports whether a URI is one of the gateway's.
func IsGatewayURI(uri string) bool { return strings.HasPrefix(uri, GatewayScheme+"://") }

// GatewayReason is why the gateway refused a request, in one CamelCase word.
type GatewayReason string

// The reasons of the gateway.
const (
	// GatewayInvalidPath is a path or a query that names no object.
	GatewayInvalidPath GatewayReason = "InvalidPath"
	// GatewayInvalidRequest is a request without a length, or with two tokens.
	GatewayInvalidRequest GatewayReason = "InvalidRequest"
	// GatewayMethodNotAllowed is a method other than GET, HEAD and PUT.
	GatewayMethodNotAllowed GatewayReason = "MethodNotAllowed"
	// GatewayUnauthenticated is a request without a valid token of GatewayAudience.
	GatewayUnauthenticated GatewayReason = "Unauthenticated"
	// GatewayNotATaskPod is a token in Authorization that belongs to no pod of a
	// TaskGroup.
	GatewayNotATaskPod GatewayReason = "NotATaskPod"
	// GatewayPodDeleted is a token of a pod that was deleted.
	GatewayPodDeleted GatewayReason = "PodDeleted"
	// GatewayGroupDeleted is a pod whose TaskGroup was deleted.
	GatewayGroupDeleted GatewayReason = "GroupDeleted"
	// GatewayGroupFinished is a write of a pod whose TaskGroup has finished.
	GatewayGroupFinished GatewayReason = "GroupFinished"
	// GatewaySuperseded is a pod of an attempt that a later attempt has replaced.
	GatewaySuperseded GatewayReason = "AttemptSuperseded"
	// GatewayNotPermitted is a request for an object that the caller may not access,
	// whether the object exists or not.
	GatewayNotPermitted GatewayReason = "NotPermitted"
	// GatewayNotFound is an object that does not exist.
	GatewayNotFound GatewayReason = "NotFound"
	// GatewayExists is a write of an object that exists.
	GatewayExists GatewayReason = "Exists"
	// GatewayConflict is an object whose name is a folder, or has an object as a
	// folder.
	GatewayConflict GatewayReason = "Conflict"
	// GatewayDigestMismatch is a body that differs from the SHA-256 in its path.
	GatewayDigestMismatch GatewayReason = "DigestMismatch"
	// GatewayQuotaExceeded is a write over the quota of the namespace.
	GatewayQuotaExceeded GatewayReason = "QuotaExceeded"
	// GatewayVolumeFull is a write for which the volume, or the bucket, has no space.
	GatewayVolumeFull GatewayReason = "VolumeFull"
	// GatewayVolumeReadOnly is a write to a volume that is mounted read-only.
	GatewayVolumeReadOnly GatewayReason = "VolumeReadOnly"
	// GatewayVolumeUnavailable is a volume that fails or was lost.
	GatewayVolumeUnavailable GatewayReason = "VolumeUnavailable"
	// GatewayBucketUnavailable is a bucket that does not exist, does not respond, or
	// replaces objects that exist.
	GatewayBucketUnavailable GatewayReason = "BucketUnavailable"
	// GatewayBucketDenied is a bucket that refuses the credentials of the gateway.
	GatewayBucketDenied GatewayReason = "BucketPermissionDenied"
	// GatewayObjectDamaged is an object whose file has another size than it recorded.
	GatewayObjectDamaged GatewayReason = "ObjectDamaged"
	// GatewayAPIUnavailable is an API server that did not answer a review.
	GatewayAPIUnavailable GatewayReason = "APIServerUnavailable"
	// GatewayBusy is a request that waited too long for others to finish.
	GatewayBusy GatewayReason = "Busy"
)

// GatewayError is the body of a response that refuses a request.
type GatewayError struct {
	Reason  GatewayReason `json:"reason"`
	Message string        `json:"message"`
}

var errGatewayURI = errors.New("want gateway://<namespace>/content/<sha256> or gateway://<namespace>/groups/<uid>/a<attempt>/<name>")

// GatewayContentURI is the URI of an object that is named by its SHA-256, in lower-case
// hexadecimal.
func GatewayContentURI(namespace, digest string) string {
	return GatewayScheme + "://" + namespace + "/" + GatewayContent + "/" + digest
}

// GatewayOutputs is the value of spec.assets.outputs of a group whose results are
// stored by the gateway.
func GatewayOutputs(namespace string) string {
	return GatewayScheme + "://" + namespace + "/" + GatewayGroups
}

// GatewayPath returns the path of the object that a URI names. The gateway decides
// whether the path is valid.
func GatewayPath(uri string) (string, error) {
	rest, ok := strings.CutPrefix(uri, GatewayScheme+"://")
	namespace, path, hasPath := strings.Cut(rest, "/")
	if !ok || !hasPath || namespace == "" || path == "" {
		return "", fmt.Errorf("not a URI of the gateway: %w", errGatewayURI)
	}
	return GatewayPrefix + rest, nil
}
