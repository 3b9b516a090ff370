// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Volume is one of the kinds of volume that a restricted pod may have.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || [has(self.emptyDir), has(self.configMap), has(self.secret), has(self.persistentVolumeClaim), has(self.ephemeral), has(self.csi), has(self.projected), has(self.downwardAPI)].filter(x, x).size() == 1",message="needs exactly one of emptyDir, configMap, secret, persistentVolumeClaim, ephemeral, csi, projected and downwardAPI",optionalOldSelf=true
type Volume struct {
	// name is what volumeMounts refer to.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !self.startsWith('taskgroup-')",message="names that begin with taskgroup- are reserved",optionalOldSelf=true
	Name string `json:"name"`

	// emptyDir lives as long as the pod.
	// +optional
	EmptyDir *corev1.EmptyDirVolumeSource `json:"emptyDir,omitempty"`

	// configMap holds the entries of a ConfigMap as files.
	// +optional
	ConfigMap *corev1.ConfigMapVolumeSource `json:"configMap,omitempty"`

	// secret holds the entries of a Secret as files.
	// +optional
	Secret *corev1.SecretVolumeSource `json:"secret,omitempty"`

	// persistentVolumeClaim is storage that outlives the pod.
	// +optional
	PersistentVolumeClaim *corev1.PersistentVolumeClaimVolumeSource `json:"persistentVolumeClaim,omitempty"`

	// ephemeral is a claim that is created and deleted with the pod.
	// +optional
	Ephemeral *corev1.EphemeralVolumeSource `json:"ephemeral,omitempty"`

	// csi is a volume that a CSI driver creates with the pod.
	// +optional
	CSI *corev1.CSIVolumeSource `json:"csi,omitempty"`

	// projected holds files of several sources in one directory.
	// +optional
	Projected *ProjectedVolume `json:"projected,omitempty"`

	// downwardAPI holds fields of the pod as files.
	// +optional
	DownwardAPI *corev1.DownwardAPIVolumeSource `json:"downwardAPI,omitempty"`
}

// ProjectedVolume holds files of several sources in one directory.
type ProjectedVolume struct {
	// sources are where the files come from.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(s, [has(s.secret), has(s.configMap), has(s.downwardAPI), has(s.serviceAccountToken)].filter(x, x).size() == 1)",message="each needs exactly one of secret, configMap, downwardAPI and serviceAccountToken",optionalOldSelf=true
	Sources []ProjectedSource `json:"sources"`

	// defaultMode is the mode of files that have none. The default is 0644.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=511
	DefaultMode *int32 `json:"defaultMode,omitempty"`
}

// ProjectedSource is one source of a ProjectedVolume.
type ProjectedSource struct {
	// secret holds the entries of a Secret.
	// +optional
	Secret *corev1.SecretProjection `json:"secret,omitempty"`

	// configMap holds the entries of a ConfigMap.
	// +optional
	ConfigMap *corev1.ConfigMapProjection `json:"configMap,omitempty"`

	// downwardAPI holds fields of the pod.
	// +optional
	DownwardAPI *corev1.DownwardAPIProjection `json:"downwardAPI,omitempty"`

	// serviceAccountToken is a token of spec.pod.serviceAccountName.
	// +optional
	ServiceAccountToken *ServiceAccountToken `json:"serviceAccountToken,omitempty"`
}

// ServiceAccountToken is a token of the pod's service account, which the kubelet
// renews.
type ServiceAccountToken struct {
	// audience is who accepts the token.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience"`

	// expirationSeconds is how long the token is valid. The default is 3600.
	// +optional
	// +kubebuilder:validation:Minimum=600
	// +kubebuilder:validation:Maximum=4294967296
	ExpirationSeconds *int64 `json:"expirationSeconds,omitempty"`

	// path is the file of the token, relative to the directory of the volume.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path"`
}

// VolumeMount is where a volume appears in the container.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.subPath) || !has(self.subPathExpr)",message="at most one of subPath and subPathExpr may be set",optionalOldSelf=true
type VolumeMount struct {
	// name refers to an entry of spec.pod.volumes.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// mountPath is where it appears.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || (self.startsWith('/') && !self.contains(':') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)'))",message="must be an absolute path without .. and :",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || (self != '/taskgroup' && !self.startsWith('/taskgroup/'))",message="/taskgroup is reserved",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !(self in ['/dev', '/dev/', '/dev/termination-log'])",message="/dev and /dev/termination-log are reserved: the runner writes its termination message there",optionalOldSelf=true
	MountPath string `json:"mountPath"`

	// subPath is the part of the volume to mount; all of it by default.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	SubPath string `json:"subPath,omitempty"`

	// subPathExpr is a subPath in which $(NAME) is replaced by the variable NAME of
	// spec.pod.env.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	SubPathExpr string `json:"subPathExpr,omitempty"`

	// readOnly forbids writing.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`
}
