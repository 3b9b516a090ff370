// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/exec"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/tempgroup"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

const (
	// startTimeout bounds the start of the pod, which may have to pull its image.
	startTimeout = 5 * time.Minute
	// maxFailures is how often a stream may break in a row without new bytes.
	maxFailures = 5
	// retryDelay is the delay after a stream has broken.
	retryDelay = time.Second
	// maxStderr bounds the error message of the runner, in bytes.
	maxStderr = 4 << 10
	// noReadCommand is the exit code of a runner without contract.ReadCommand.
	noReadCommand = 2
)

// Reader reads file:// objects of a group through a pod, which it creates with the first
// object. It is an asset.Reader.
type Reader struct {
	// Session is the connection to the group's cluster.
	Session *cluster.Session
	// Group is the group whose pods wrote the objects.
	Group *v1alpha1.TaskGroup
	// Progress receives what the reader waits for.
	Progress func(string)

	// mount is the mount of the current pod.
	mount *v1alpha1.VolumeMount
	// holder is the TaskGroup of the current pod; nil for none.
	holder *v1alpha1.TaskGroup
	pod    *corev1.Pod
	// refused is why no pod can be started: the next object would be refused, too.
	refused error
}

// Fetch copies an object to dest. The error of an object that does not exist is an
// fs.ErrNotExist.
func (r *Reader) Fetch(ctx context.Context, uri, dest string) (string, error) {
	name, err := local.Path(uri)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", uri, err)
	}
	mount := mountOf(r.Group, name)
	if mount == nil {
		return "", &cluster.Problem{
			What: name + " is on no volume of the group: it was deleted with its pod",
			Next: "give groups a location on a volume or in an object store: submit --outputs URI",
		}
	}
	file, err := os.Create(dest)
	if err != nil {
		return "", fmt.Errorf("creating a file for %s: %w", uri, err)
	}
	relative, _ := below(mount, name)
	err = r.copyAll(ctx, &counter{w: file}, mount, relative)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("reading %s through a pod: %w", name, err)
	}
	return dest, nil
}

// copyAll copies a file, and continues from the last byte after a stream has broken.
func (r *Reader) copyAll(ctx context.Context, to *counter, mount *v1alpha1.VolumeMount, relative string) error {
	for failures := 0; ; {
		before := to.n
		err := r.ensure(ctx, mount)
		if err != nil {
			return err
		}
		if err = r.copyFrom(ctx, to, relative); err == nil || ctx.Err() != nil || !isBroken(err) {
			return err
		}
		if to.n > before {
			failures = 0
		}
		if failures++; failures == maxFailures {
			return err
		}
		r.Progress(fmt.Sprintf("the stream broke after %d bytes and is continued: %s", to.n, err))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.clock().After(retryDelay):
		}
		r.verify(ctx)
	}
}

func (r *Reader) clock() clock.Clock {
	if r.Session.Clock == nil {
		return clock.RealClock{}
	}
	return r.Session.Clock
}

// copyFrom copies the rest of a file by one exec request.
func (r *Reader) copyFrom(ctx context.Context, to *counter, relative string) error {
	var stderr limited
	command := []string{contract.RunnerPath, contract.ReadCommand, r.mount.MountPath, relative, strconv.FormatInt(to.n, 10)}
	err := r.Session.Exec(ctx, client.ObjectKeyFromObject(r.pod), r.pod.Annotations[v1alpha1.DefaultContainerAnnotation], command, to, &stderr)
	if to.err != nil {
		return &finalError{fmt.Errorf("writing: %w", to.err)}
	}
	if exit, ok := errors.AsType[exec.CodeExitError](err); ok {
		return exitError(exit, strings.TrimSpace(stderr.String()))
	}
	return err
}

// exitError returns the error of the runner.
func exitError(exit exec.CodeExitError, stderr string) error {
	switch exit.Code {
	case contract.ReadMissing:
		return &finalError{fmt.Errorf("%w: %s", fs.ErrNotExist, stderr)}
	case noReadCommand:
		return &finalError{&cluster.Problem{
			What: "the runner of the pod is of a release that cannot send files",
			Next: "upgrade the operator to the release of this program, or name a local mount of the volume with --mount",
		}}
	case 1:
		return &finalError{errors.New(stderr)}
	}
	// A signal: the pod is being deleted.
	return fmt.Errorf("the runner ended with code %d: %s", exit.Code, stderr)
}

// finalError is an error that another request would get, too.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// isBroken reports whether another request may succeed.
func isBroken(err error) bool {
	_, final := errors.AsType[*finalError](err)
	_, explained := errors.AsType[*cluster.Problem](err)
	return !final && !explained
}

// errNoExec is the permission that a review denied.
var errNoExec = errors.New("it needs create pods/exec")

// forbidden is a permission that the caller lacks.
func (r *Reader) forbidden(doing string, err error) error {
	return &cluster.Problem{
		What: fmt.Sprintf("the results are on a volume of the cluster, and you may not %s in the namespace %s: %s", doing, r.Group.Namespace, err),
		Next: fmt.Sprintf("if the volume is mounted on this machine, name its folder: --mount %s=FOLDER; or ask for a RoleBinding to the ClusterRole edit", r.mount.MountPath),
		Err:  err,
	}
}

// ensure starts the pod for a mount unless it runs.
func (r *Reader) ensure(ctx context.Context, mount *v1alpha1.VolumeMount) error {
	if r.refused != nil || r.pod != nil && r.mount == mount {
		return r.refused
	}
	err := r.Close(ctx)
	if err == nil {
		err = r.start(ctx, mount)
	}
	r.refused = err
	return err
}

// start creates the group of a pod and waits until the pod runs.
func (r *Reader) start(ctx context.Context, mount *v1alpha1.VolumeMount) error {
	volume, err := volumeOf(r.Group, mount)
	if err != nil {
		return err
	}
	r.mount = mount
	// An error of the review is no refusal.
	if allowed, err := r.Session.MayExec(ctx, r.Group.Namespace); err == nil && !allowed {
		return r.forbidden("run a program in a pod", errNoExec)
	}
	tg := groupFor(r.Group, mount, volume)
	if err := tempgroup.Create(ctx, r.Session.Client, tg); err != nil {
		if apierrors.IsForbidden(err) {
			return r.forbidden("create a TaskGroup, whose pod would read it,", err)
		}
		return &finalError{fmt.Errorf("creating a TaskGroup whose pod reads the volume: %w", err)}
	}
	r.holder = tg
	r.Progress(fmt.Sprintf("starting a pod that mounts the volume at %s read-only: TaskGroup %s", mount.MountPath, tg.Name))
	return r.await(ctx)
}

// await waits until the pod runs. Its group's status is later.
func (r *Reader) await(ctx context.Context) error {
	var denied error
	last := ""
	seen, err := tempgroup.Await(ctx, r.Session.Client, r.holder, startTimeout, func(seen *v1alpha1.TaskGroup) bool {
		if state := fmt.Sprintf("%s: %s", seen.Status.Reason(), seen.Status.Message()); state != last && seen.Status.Message() != "" {
			last = state
			r.Progress(state)
		}
		pods, err := r.Session.Pods(ctx, seen)
		if apierrors.IsForbidden(err) {
			denied = err
		}
		if i := slices.IndexFunc(pods, isRunning); i >= 0 {
			r.pod = &pods[i]
		}
		return r.pod != nil || denied != nil || seen.Status.IsFinished()
	})
	switch {
	case r.pod != nil:
		return nil
	case denied != nil:
		return r.forbidden("list pods", denied)
	case err != nil && !wait.Interrupted(err):
		return fmt.Errorf("waiting for the pod of TaskGroup %s: %w", r.holder.Name, err)
	}
	what := fmt.Sprintf("the pod that would read the volume did not start: %s: %s", seen.Status.Reason(), seen.Status.Message())
	return &cluster.Problem{What: what, Next: fmt.Sprintf("change what the message names, or name a local mount of the volume: --mount %s=FOLDER", r.mount.MountPath)}
}

// verify forgets a pod that no longer runs, so that ensure starts another one.
func (r *Reader) verify(ctx context.Context) {
	var pod corev1.Pod
	err := r.Session.Client.Get(ctx, client.ObjectKeyFromObject(r.pod), &pod)
	if apierrors.IsNotFound(err) || err == nil && !isRunning(pod) {
		r.pod = nil
	}
}

func isRunning(pod corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp.IsZero()
}

// Close removes the pod, also after the cancellation of ctx.
func (r *Reader) Close(ctx context.Context) error {
	if r.holder == nil {
		return nil
	}
	holder := r.holder
	r.holder, r.pod = nil, nil
	if err := tempgroup.Remove(ctx, r.Session.Client, holder); err != nil {
		return &cluster.Problem{What: err.Error(), Next: fmt.Sprintf("kubectl -n %s delete taskgroup %s", holder.Namespace, holder.Name), Err: err}
	}
	return nil
}

// counter counts the bytes that were written.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = errors.Join(c.err, err)
	return n, err
}

// limited keeps the first bytes.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	_, _ = l.Builder.Write(p[:min(len(p), maxStderr-min(l.Len(), maxStderr))])
	return len(p), nil
}
