package jobspec

import (
	"maps"
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
		NodeSelector:                 nodeSelector(options),
		Tolerations:                  options.Tolerations,
		Affinity:                     options.Affinity,
		TopologySpreadConstraints:    options.TopologySpreadConstraints,
		PriorityClassName:            options.PriorityClassName,
		PreemptionPolicy:             options.PreemptionPolicy,
		SchedulerName:                options.SchedulerName,
		ServiceAccountName:           options.ServiceAccountName,
		ResourceClaims:               options.ResourceClaims,
		HostAliases:                  options.HostAliases,
		DNSPolicy:                    options.DNSPolicy,
		DNSConfig:                    options.DNSConfig,
		HostUsers:                    options.HostUsers,

		TerminationGracePeriodSeconds: options.TerminationGracePeriodSeconds,
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

// nodeSelector adds the operating system of the runner, which is a program for Linux.
func nodeSelector(options *v1alpha1.PodOptions) map[string]string {
	selector := map[string]string{corev1.LabelOSStable: string(corev1.Linux)}
	maps.Copy(selector, options.NodeSelector)
	return selector
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
		WorkingDir:               options.WorkingDir,
		EnvFrom:                  options.EnvFrom,
		SecurityContext:          containerSecurityContext(),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		VolumeMounts:             volumeMounts(options),
	}
	if container.Image == "" {
		container.Image = cfg.DefaultImage
	}
	container.Env = append(container.Env, options.Env...)
	container.Env = append(container.Env, runnerEnv(options, plan)...)
	// A copy: memory grows with the attempts of one group.
	cfg.DefaultResources.DeepCopyInto(&container.Resources)
	if options.Resources != nil {
		container.Resources = corev1.ResourceRequirements{Requests: options.Resources.Requests, Limits: options.Resources.Limits, Claims: options.Resources.Claims}
	}
	return container
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
