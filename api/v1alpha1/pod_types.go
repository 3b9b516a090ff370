// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// PodOptions shapes the pod of a group. It is an allow-list and no
// PodTemplateSpec: permission to create a TaskGroup grants no more than permission to
// create a pod that meets the Pod Security level restricted.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",message="each name must be that of an entry in spec.pod.volumes",fieldPath=".volumeMounts",optionalOldSelf=true
type PodOptions struct {
	// image is the container image that the tasks run in. Functions need Python
	// 3.9 or newer with cloudpickle in it. The operator has a default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imagePullPolicy is when the kubelet pulls the image.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecrets name the Secrets of registries.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// env is added to the environment of every task. Names that begin with
	// TASKGROUP_, and JOB_COMPLETION_INDEX, are reserved.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(e, !e.name.startsWith('TASKGROUP_'))",message="names that begin with TASKGROUP_ are reserved",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(e, e.name != 'JOB_COMPLETION_INDEX')",message="JOB_COMPLETION_INDEX is reserved: the Job controller sets it",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 262144",message="the values must not have more than 262144 characters in total: put long texts into a ConfigMap",optionalOldSelf=true
	Env []corev1.EnvVar `json:"env,omitempty"`

	// envFrom adds all entries of ConfigMaps and Secrets to the environment. The
	// operator's own variables take precedence over entries of the same name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(e, !has(e.prefix) || !e.prefix.startsWith('TASKGROUP_'))",message="prefixes that begin with TASKGROUP_ are reserved",optionalOldSelf=true
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`

	// workingDir is the directory in which the commands of the tasks run. The
	// default is the WORKDIR of the image.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^/`
	WorkingDir string `json:"workingDir,omitempty"`

	// terminationGracePeriodSeconds is the time between SIGTERM and SIGKILL when the
	// pod is deleted, evicted or preempted. It includes the upload of results. The
	// default is 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// resources are what the container that runs the tasks requests and may use.
	// +optional
	Resources *Resources `json:"resources,omitempty"`

	// resourceClaims are the claims of dynamic resource allocation that
	// resources.claims refers to.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ResourceClaims []corev1.PodResourceClaim `json:"resourceClaims,omitempty"`

	// volumes can be mounted by volumeMounts.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Volumes []Volume `json:"volumes,omitempty"`

	// volumeMounts are where the volumes appear in the container.
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MaxItems=32
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`

	// nodeSelector are labels that the node must have. The default of
	// kubernetes.io/os is linux.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations are taints that the pod tolerates.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity constrains where the pod runs.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints spread the pods of a Parallel group, or of several
	// groups, over zones and nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the pod's priority class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// preemptionPolicy is whether the pod may preempt pods of lower priority. The
	// default is the policy of the priority class.
	// +optional
	// +kubebuilder:validation:Enum=Never;PreemptLowerPriority
	PreemptionPolicy *corev1.PreemptionPolicy `json:"preemptionPolicy,omitempty"`

	// runtimeClassName is the pod's runtime class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// schedulerName is the scheduler that places the pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SchedulerName string `json:"schedulerName,omitempty"`

	// serviceAccountName is the pod's identity. Its token is not mounted, except
	// where a projected volume requests one.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// hostAliases are added to /etc/hosts.
	// +optional
	// +listType=map
	// +listMapKey=ip
	// +kubebuilder:validation:MaxItems=64
	HostAliases []corev1.HostAlias `json:"hostAliases,omitempty"`

	// dnsPolicy is how the pod resolves names. The default is ClusterFirst.
	// +optional
	// +kubebuilder:validation:Enum=ClusterFirst;Default;None
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`

	// dnsConfig is added to the configuration that dnsPolicy results in.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`

	// hostUsers is false for a user namespace of the pod's own.
	// +optional
	HostUsers *bool `json:"hostUsers,omitempty"`

	// securityContext sets the user and the groups of the tasks.
	// +optional
	SecurityContext *SecurityContext `json:"securityContext,omitempty"`

	// labels are added to the pod. Keys that controllers own are reserved:
	// kubernetes.covalent.xyz/*, batch.kubernetes.io/*, pod-security.kubernetes.io/*,
	// controller-uid, job-name, and kueue.x-k8s.io/* except podset-*.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(k, !k.matches('^(kubernetes[.]covalent[.]xyz/|batch[.]kubernetes[.]io/|pod-security[.]kubernetes[.]io/|controller-uid$|job-name$)'))",message="keys that controllers own are reserved: kubernetes.covalent.xyz/*, batch.kubernetes.io/*, pod-security.kubernetes.io/*, controller-uid and job-name",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(k, !k.startsWith('kueue.x-k8s.io/') || k.startsWith('kueue.x-k8s.io/podset-'))",message="keys of kueue.x-k8s.io are reserved except podset-*: set kueue.x-k8s.io/queue-name and priority-class on the TaskGroup",optionalOldSelf=true
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the pod. The keys that are reserved for labels, the
	// annotations of AppArmor and seccomp, kubernetes.io/config.* and
	// kubectl.kubernetes.io/default-container are reserved.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(k, !k.matches('^(kubernetes[.]covalent[.]xyz/|batch[.]kubernetes[.]io/|pod-security[.]kubernetes[.]io/|controller-uid$|job-name$)'))",message="keys that controllers own are reserved: kubernetes.covalent.xyz/*, batch.kubernetes.io/*, pod-security.kubernetes.io/*, controller-uid and job-name",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(k, !k.startsWith('kueue.x-k8s.io/') || k.startsWith('kueue.x-k8s.io/podset-'))",message="keys of kueue.x-k8s.io are reserved except podset-*: set kueue.x-k8s.io/queue-name and priority-class on the TaskGroup",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(k, !k.matches('^(container[.]apparmor[.]security[.]beta[.]kubernetes[.]io/|(container[.])?seccomp[.]security[.]alpha[.]kubernetes[.]io/|kubernetes[.]io/config[.]|kubectl[.]kubernetes[.]io/default-container$)'))",message="annotations of AppArmor and seccomp, kubernetes.io/config.* and kubectl.kubernetes.io/default-container are reserved",optionalOldSelf=true
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Resources are amounts by resource name, such as cpu, memory or nvidia.com/gpu.
type Resources struct {
	// requests are what the scheduler sets aside.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Requests Amounts `json:"requests,omitempty"`

	// limits are what may be used; a container over its memory limit is killed.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Limits Amounts `json:"limits,omitempty"`

	// claims are entries of spec.pod.resourceClaims that the container uses.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Claims []corev1.ResourceClaim `json:"claims,omitempty"`
}

// SecurityContext sets the user and the groups of the tasks. Everything else that a restricted
// pod needs is set by the operator and cannot be loosened.
type SecurityContext struct {
	// runAsUser is the user ID; 65532 by default. Root is refused.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsUser *int64 `json:"runAsUser,omitempty"`

	// runAsGroup is the group ID; 65532 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsGroup *int64 `json:"runAsGroup,omitempty"`

	// fsGroup owns the volumes that support it; 65532 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	FSGroup *int64 `json:"fsGroup,omitempty"`

	// fsGroupChangePolicy is when the kubelet changes the group of a volume's files.
	// The default is OnRootMismatch.
	// +optional
	// +kubebuilder:validation:Enum=Always;OnRootMismatch
	FSGroupChangePolicy *corev1.PodFSGroupChangePolicy `json:"fsGroupChangePolicy,omitempty"`

	// supplementalGroups are additional groups of the processes. Group 0 is refused.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=2147483647
	SupplementalGroups []int64 `json:"supplementalGroups,omitempty"`
}
