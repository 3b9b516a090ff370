// SPDX-License-Identifier: Apache-2.0

package access

import (
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// names reports whether the spec of a group names an object of the gateway.
func names(group *v1alpha1.TaskGroup, uri string) bool {
	isNamed := false
	EachNamed(group, func(named string) bool {
		isNamed = named == uri
		return !isNamed
	})
	return isNamed
}

// indexOf returns the URI of the index of a group, if it is in the gateway; empty for none.
func indexOf(group *v1alpha1.TaskGroup) string {
	if group.Spec.Assets == nil || group.Spec.Assets.Index == nil || !isOfGateway(group.Spec.Assets.Index.URI) {
		return ""
	}
	return string(group.Spec.Assets.Index.URI)
}

// EachNamed calls visit with the URI of each object of the gateway that a spec names,
// until visit returns false. What the index of the group names is not in the spec.
func EachNamed(group *v1alpha1.TaskGroup, visit func(uri string) bool) {
	if group.Spec.Assets == nil {
		return
	}
	if index := indexOf(group); index != "" && !visit(index) {
		return
	}
	for _, uris := range []v1alpha1.AssetURIs{group.Spec.Assets.Functions, group.Spec.Assets.Inputs, group.Spec.Assets.Hooks} {
		for _, uri := range uris {
			if isOfGateway(uri) && !visit(string(uri)) {
				return
			}
		}
	}
}

func isOfGateway(uri v1alpha1.AssetURI) bool {
	return strings.HasPrefix(string(uri), contract.GatewayScheme+"://")
}
