// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"maps"
	"math"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	runnerVolume = "taskgroup-bin"
	workVolume   = "taskgroup-work"
	tmpVolume    = "taskgroup-tmp"

	// RunnerDir is where the runner is mounted: the directory of contract.RunnerPath.
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
		SecurityContext:              podSecurityContext(options.SecurityContext, cfg),
		Containers:                   []corev1.Container{taskContainer(options, plan, gatewayOf(tg, cfg), cfg)},
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
	growMemory(&spec.Containers[0].Resources, tg.Spec.Retries, attempt)
	spec.ActiveDeadlineSeconds = activeDeadline(tg.Spec.Timeouts, gracePeriod(options))
	if options.RuntimeClassName != "" {
		spec.RuntimeClassName = &options.RuntimeClassName
	}
	deliverRunner(&spec, cfg)
	if gatewayOf(tg, cfg) != nil {
		connectToGateway(&spec)
	}
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

func taskContainer(options *v1alpha1.PodOptions, plan string, gateway *Gateway, cfg Config) corev1.Container {
	container := corev1.Container{
		Name:                     TaskContainer,
		Image:                    options.Image,
		ImagePullPolicy:          options.ImagePullPolicy,
		Command:                  []string{contract.RunnerPath},
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
	container.Env = append(container.Env, runnerEnv(options, plan, gateway)...)
	container.Resources = taskResources(options, cfg)
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
		Resources:       initResources(&spec.Containers[0].Resources),
		SecurityContext: containerSecurityContext(),
		VolumeMounts:    []corev1.VolumeMount{{Name: runnerVolume, MountPath: RunnerDir}},
	})
}
