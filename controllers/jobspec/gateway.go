// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"errors"
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	gatewayVolume = "taskgroup-gateway"
	gatewayDir    = "/taskgroup/gateway"
	tokenFile     = "token"
	caFile        = "ca.crt"

	// tokenSeconds is how long a token is valid. The kubelet replaces it after 80 % of
	// this time (KEP-1205). The gateway checks the pod of a token too, so that a longer
	// time would permit nothing more.
	tokenSeconds = 3600
)

// Gateway is how pods reach the asset gateway.
type Gateway struct {
	// URL has no path, such as https://taskgroup-gateway.taskgroup-system.svc.
	URL string
	// Authorities are the certificates that its own is signed with, as PEM. They are valid
	// for longer than a pod lives.
	Authorities string
}

// ErrNoGateway is returned if the objects of a group are in a gateway that the operator
// does not know.
var ErrNoGateway = errors.New("the objects of the group are in the asset gateway, and the cluster has none: install it (docs/gateway.md), or use another location in spec.assets")

// UsesGateway reports whether a spec names an object of the asset gateway.
func UsesGateway(tg *v1alpha1.TaskGroup) bool {
	assets := tg.Spec.Assets
	if assets == nil {
		return false
	}
	if contract.IsGatewayURI(string(assets.Outputs)) || assets.Index != nil && contract.IsGatewayURI(string(assets.Index.URI)) {
		return true
	}
	for _, uris := range []v1alpha1.AssetURIs{assets.Functions, assets.Inputs, assets.Hooks} {
		for _, uri := range uris {
			if contract.IsGatewayURI(string(uri)) {
				return true
			}
		}
	}
	return false
}

// gatewayOf returns the gateway that a group uses; nil for none.
func gatewayOf(tg *v1alpha1.TaskGroup, cfg Config) *Gateway {
	if !UsesGateway(tg) {
		return nil
	}
	return cfg.Gateway
}

// connectToGateway gives a pod its token for the gateway, which is bound to the pod and
// valid for nothing else, and the gateway's authorities. A ConfigMap could not be mounted,
// because it is in another namespace: the authorities are in an annotation, which the
// kubelet writes to a file.
func connectToGateway(spec *corev1.PodSpec) {
	seconds := int64(tokenSeconds)
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: gatewayVolume, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: contract.GatewayAudience, ExpirationSeconds: &seconds, Path: tokenFile,
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     caFile,
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['" + v1alpha1.GatewayAuthoritiesAnnotation + "']"},
			}}}},
		}},
	}})
	container := &spec.Containers[0]
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: gatewayVolume, MountPath: gatewayDir, ReadOnly: true})
}

// gatewayEnv returns the variables of the store of the gateway; without a gateway, they
// have no value.
func gatewayEnv(gateway *Gateway) []corev1.EnvVar {
	if gateway == nil {
		return []corev1.EnvVar{{Name: contract.GatewayURLEnv}, {Name: contract.GatewayTokenEnv}, {Name: contract.GatewayCAEnv}}
	}
	return []corev1.EnvVar{
		{Name: contract.GatewayURLEnv, Value: gateway.URL},
		{Name: contract.GatewayTokenEnv, Value: path.Join(gatewayDir, tokenFile)},
		{Name: contract.GatewayCAEnv, Value: path.Join(gatewayDir, caFile)},
	}
}
