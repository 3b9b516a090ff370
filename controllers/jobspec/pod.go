package jobspec

import (
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	runnerVolume = "taskgroup-bin"
	workVolume   = "taskgroup-work"
	tmpVolume    = "taskgroup-tmp"

	// RunnerDir is where the runner is mounted.
	RunnerDir = "/taskgroup/bin"
	workDir   = "/taskgroup/work"

	// runnerInImage is where the runner's image holds it.
	runnerInImage = "/runner"

	// nobody is the user and group of pods that name none: an ID above those
	// that distributions hand out, and the one distroless images call nonroot.
	nobody = int64(65532)
)

// podSpec renders the pod of one attempt; plan is the encoded contract.Plan.
func podSpec(tg *v1alpha1.TaskGroup, plan string, attempt Attempt, cfg Config) corev1.PodSpec {
	options := &v1alpha1.PodOptions{}
	if tg.Spec.Pod != nil {
		// A copy: what the API server answers is decoded into the Job, whose maps
		// must not be those of the informer's cache.
		options = tg.Spec.Pod.DeepCopy()
	}
	spec := corev1.PodSpec{
		RestartPolicy:                corev1.RestartPolicyNever,
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		SecurityContext:              podSecurityContext(options.SecurityContext),
		Containers:                   []corev1.Container{taskContainer(options, plan, cfg)},
		Volumes:                      podVolumes(options),
		ImagePullSecrets:             options.ImagePullSecrets,
		NodeSelector:                 options.NodeSelector,
		Tolerations:                  options.Tolerations,
		Affinity:                     options.Affinity,
		PriorityClassName:            options.PriorityClassName,
		SchedulerName:                options.SchedulerName,
		ServiceAccountName:           options.ServiceAccountName,
	}
	if r := tg.Spec.Retries; r != nil && r.OOMMemoryFactor != "" {
		growMemory(&spec.Containers[0].Resources, r.OOMMemoryFactor, attempt.OOMs)
	}
	spec.ActiveDeadlineSeconds = activeDeadline(tg.Spec.Timeouts, gracePeriod(options))
	if options.RuntimeClassName != "" {
		spec.RuntimeClassName = &options.RuntimeClassName
	}
	deliverRunner(&spec, cfg)
	return spec
}

// startingAllowance is the time for starting, in seconds, that the pod's own
// deadline includes where the group does not bound it. It is generous because the
// runner's clock, which starts with the tasks, is the exact one.
const startingAllowance = 3600

// activeDeadline returns the pod's own deadline, which backs up the runner's. The
// kubelet counts from the time when it accepted the pod, so the deadline includes
// time to start and the grace period. It holds while neither the operator nor the
// runner works (invariant I23).
func activeDeadline(t *v1alpha1.Timeouts, grace int64) *int64 {
	if t == nil || t.RunningSeconds == nil {
		return nil
	}
	// The API server accepts no more. Each term is limited as well, because
	// objects of earlier versions may hold any number.
	const most = math.MaxInt32
	deadline := int64(0)
	for _, seconds := range []int64{*t.RunningSeconds, valueOr(t.StartingSeconds, startingAllowance), grace} {
		deadline = min(deadline+min(seconds, most), most)
	}
	return &deadline
}

// growMemory multiplies request and limit once for every attempt that ran out of
// memory. The API server has checked the factor's form.
func growMemory(resources *corev1.ResourceRequirements, factor string, ooms int32) {
	f, err := strconv.ParseFloat(factor, 64)
	if err != nil {
		return
	}
	grow := math.Pow(f, float64(ooms))
	for _, list := range []corev1.ResourceList{resources.Requests, resources.Limits} {
		if memory, ok := list[corev1.ResourceMemory]; ok && ooms > 0 {
			const mebibyte = 1 << 20
			bytes := math.Ceil(float64(memory.Value())*grow/mebibyte) * mebibyte
			list[corev1.ResourceMemory] = *resource.NewQuantity(int64(math.Min(bytes, math.MaxInt64/2)), resource.BinarySI)
		}
	}
}

func taskContainer(options *v1alpha1.PodOptions, plan string, cfg Config) corev1.Container {
	container := corev1.Container{
		Name:                     TaskContainer,
		Image:                    options.Image,
		ImagePullPolicy:          options.ImagePullPolicy,
		Command:                  []string{RunnerDir + runnerInImage},
		WorkingDir:               workDir,
		EnvFrom:                  options.EnvFrom,
		SecurityContext:          containerSecurityContext(),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		VolumeMounts: []corev1.VolumeMount{
			{Name: runnerVolume, MountPath: RunnerDir, ReadOnly: true},
			{Name: workVolume, MountPath: workDir},
		},
	}
	if container.Image == "" {
		container.Image = cfg.DefaultImage
	}
	container.Env = append(container.Env, options.Env...)
	container.Env = append(container.Env, runnerEnv(options, plan)...)
	// A copy: memory grows with the attempts of one group.
	cfg.DefaultResources.DeepCopyInto(&container.Resources)
	if options.Resources != nil {
		container.Resources = corev1.ResourceRequirements{Requests: options.Resources.Requests, Limits: options.Resources.Limits}
	}
	if !mountsTmp(options) {
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: tmpVolume, MountPath: "/tmp"})
	}
	for _, mount := range options.VolumeMounts {
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
			Name:      mount.Name,
			MountPath: mount.MountPath,
			SubPath:   mount.SubPath,
			ReadOnly:  mount.ReadOnly,
		})
	}
	return container
}

// mountsTmp says whether the user brings a /tmp of their own.
func mountsTmp(options *v1alpha1.PodOptions) bool {
	for _, mount := range options.VolumeMounts {
		if mount.MountPath == "/tmp" {
			return true
		}
	}
	return false
}

func podVolumes(options *v1alpha1.PodOptions) []corev1.Volume {
	volumes := []corev1.Volume{emptyDir(workVolume)}
	if !mountsTmp(options) {
		volumes = append(volumes, emptyDir(tmpVolume))
	}
	for _, v := range options.Volumes {
		volumes = append(volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{
			EmptyDir:              v.EmptyDir,
			ConfigMap:             v.ConfigMap,
			Secret:                v.Secret,
			PersistentVolumeClaim: v.PersistentVolumeClaim,
		}})
	}
	return volumes
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// deliverRunner adds the volume that holds the runner, and what fills it.
func deliverRunner(spec *corev1.PodSpec, cfg Config) {
	if cfg.Delivery == ImageVolume {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: runnerVolume, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: cfg.RunnerImage, PullPolicy: corev1.PullIfNotPresent},
		}})
		return
	}
	spec.Volumes = append(spec.Volumes, emptyDir(runnerVolume))
	spec.InitContainers = append(spec.InitContainers, corev1.Container{
		Name:            "runner",
		Image:           cfg.RunnerImage,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{runnerInImage, "install", RunnerDir + runnerInImage},
		SecurityContext: containerSecurityContext(),
		VolumeMounts:    []corev1.VolumeMount{{Name: runnerVolume, MountPath: RunnerDir}},
	})
}

// podSecurityContext is what Pod Security's level "restricted" asks of a pod
// (k8s.io/pod-security-admission/policy), whatever the user sets.
func podSecurityContext(user *v1alpha1.SecurityContext) *corev1.PodSecurityContext {
	context := &corev1.PodSecurityContext{
		RunAsNonRoot:        new(true),
		RunAsUser:           new(nobody),
		RunAsGroup:          new(nobody),
		FSGroup:             new(nobody),
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if user == nil {
		return context
	}
	if user.RunAsUser != nil {
		context.RunAsUser = user.RunAsUser
	}
	if user.RunAsGroup != nil {
		context.RunAsGroup = user.RunAsGroup
	}
	if user.FSGroup != nil {
		context.FSGroup = user.FSGroup
	}
	context.SupplementalGroups = user.SupplementalGroups
	return context
}

func containerSecurityContext() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}
