// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/tempgroup"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// noCheckCommand is the exit code of a runner without contract.CheckCommand.
const noCheckCommand = 2

// podResult is what the pod of CheckPod found.
type podResult struct {
	request contract.CheckRequest
	exit    contract.CheckExit
	// report is nil if neither the store nor the log could be read.
	report *contract.CheckReport
	// invisible is why this machine does not find the object that the pod wrote.
	invisible error
	// unmounted is the location without a volume; empty for none.
	unmounted string
	// image is why the image cannot be pulled; empty if it was pulled.
	image string
	// leftovers are objects that were not removed.
	leftovers []string
}

// checkPod runs a group whose pod checks its image and its stores. CheckPodStore and
// CheckImage judge what it found.
func (d *doctor) checkPod(ctx context.Context) Check {
	if d.NoPod {
		return skipped("checks that start a pod were left out")
	}
	d.pod.request.Python, d.pod.request.Version = pythonOf(d.Group), minorOf(d.Versions.Python)
	if !d.Presign {
		d.prepareObjects(ctx)
	}
	defer d.removeObjects(ctx)
	raw, err := json.Marshal(&d.pod.request)
	if err != nil {
		return failed("encoding the request: %s", err)
	}
	tg := d.group(probeOfPod)
	tg.Spec.Assets = d.gatewayAssets()
	tg.Spec.Tasks[0].Command = []string{contract.RunnerPath, contract.CheckCommand, string(raw)}
	begin := time.Now()
	if err := tempgroup.Create(ctx, d.cluster.Client, tg); err != nil {
		return d.refused("creating a TaskGroup", err)
	}
	last := ""
	seen, err := tempgroup.Await(ctx, d.cluster.Client, tg, d.Timeout, func(seen *v1alpha1.TaskGroup) bool {
		if state := string(seen.Status.Reason()) + ": " + seen.Status.Message(); state != last {
			last = state
			d.Progress("pod: " + state)
		}
		return seen.Status.IsFinished()
	})
	if err == nil {
		d.collect(ctx, seen)
	}
	removed := tempgroup.Remove(ctx, d.cluster.Client, tg)
	if err != nil && !wait.Interrupted(err) {
		return d.refused("reading TaskGroup "+tg.Name, err)
	}
	check := d.judgePod(seen, time.Since(begin))
	if check.Status == OK && removed != nil {
		return warning("%s; %s", check.Message, removed).next("kubectl -n %s delete taskgroup %s", tg.Namespace, tg.Name)
	}
	return check
}

func pythonOf(tg *v1alpha1.TaskGroup) string {
	if tg.Spec.Runner == nil {
		return ""
	}
	return tg.Spec.Runner.Python
}

// prepareObjects writes the object that the pod reads, and names that which it writes.
func (d *doctor) prepareObjects(ctx context.Context) {
	request := &d.pod.request
	if d.usesGateway {
		if d.made[CheckStore].Status == OK {
			request.Read, request.Content = d.gatewayObject(), content
		}
		return
	}
	for _, location := range d.locations() {
		if strings.HasPrefix(location, fileScheme) && !isMounted(d.Group.Spec.Pod, location) {
			d.pod.unmounted = location
			return
		}
	}
	here := d.made[CheckStore].Status == OK
	if d.Assets != "" && here {
		uri := d.object(d.Assets, "for-pod")
		if d.put(ctx, d.local(uri)) == nil {
			request.Read, request.Content = uri, content
		}
	}
	if outputs := d.outputs(); outputs != "" {
		request.Write, request.Keep = d.object(outputs, "from-pod"), here
	}
}

// isMounted reports whether a volume of the pod contains a file:// location.
func isMounted(pod *v1alpha1.PodOptions, location string) bool {
	folder, err := local.Path(location)
	if err != nil || pod == nil {
		return false
	}
	return slices.ContainsFunc(pod.VolumeMounts, func(mount v1alpha1.VolumeMount) bool {
		at := strings.TrimRight(path.Clean(mount.MountPath), "/")
		return path.Clean(folder) == at || strings.HasPrefix(folder, at+"/")
	})
}

// removeObjects removes what prepareObjects and the pod wrote.
func (d *doctor) removeObjects(ctx context.Context) {
	if d.usesGateway {
		return
	}
	uris := []string{}
	if d.pod.request.Read != "" {
		uris = append(uris, d.pod.request.Read)
	}
	if d.pod.request.Keep {
		uris = append(uris, d.pod.request.Write)
	}
	for _, uri := range uris {
		if err := d.removeObject(ctx, d.local(uri)); err != nil {
			d.pod.leftovers = append(d.pod.leftovers, err.Error())
		}
	}
}

// collect reads what the pod found: from the object that it wrote, or from its log.
func (d *doctor) collect(ctx context.Context, tg *v1alpha1.TaskGroup) {
	p := &d.pod
	p.exit = -1
	if len(tg.Status.Tasks) > 0 {
		if code := tg.Status.Tasks[0].ExitCode; code != nil {
			p.exit = contract.CheckExit(*code)
		} else if tg.Status.Reason() == v1alpha1.ReasonCompleted {
			p.exit = 0
		}
	}
	if !p.exit.IsReport() {
		return
	}
	if p.request.Keep && !p.exit.Has(contract.CheckWrite) {
		raw, err := d.read(ctx, d.local(p.request.Write))
		if err == nil {
			p.report, err = contract.DecodeCheckReport(raw)
		}
		p.invisible = err
	}
	if p.report == nil {
		p.report = d.loggedReport(ctx, tg)
	}
}

// loggedReport reads the report in the log of the pod; nil if that is not permitted.
func (d *doctor) loggedReport(ctx context.Context, tg *v1alpha1.TaskGroup) *contract.CheckReport {
	var pods corev1.PodList
	err := d.cluster.Client.List(ctx, &pods, client.InNamespace(tg.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(tg.UID)})
	if err != nil || len(pods.Items) == 0 {
		return nil
	}
	raw, err := d.cluster.Logs(ctx, tg.Namespace, pods.Items[0].Name)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(raw) {
		if !bytes.HasPrefix(line, []byte("{")) {
			continue
		}
		if report, err := contract.DecodeCheckReport(line); err == nil {
			return report
		}
	}
	return nil
}

// judgePod judges whether the pod ran; took is the time until its group had finished.
func (d *doctor) judgePod(tg *v1alpha1.TaskGroup, took time.Duration) Check {
	reason, message := tg.Status.Reason(), tg.Status.Message()
	where := ""
	if tg.Status.NodeName != "" {
		where = " on node " + tg.Status.NodeName
	}
	switch {
	case !tg.Status.IsFinished():
		return failed("the pod has not finished within %s: %s: %s", d.Timeout, reason, message).
			next("%s", adviceOf(reason, "repeat with a longer timeout, or change what the message names"))
	case reason == v1alpha1.ReasonImagePullFailed:
		d.pod.image = message
		return skipped("the image cannot be pulled")
	case reason == v1alpha1.ReasonExitCode && d.pod.exit == noCheckCommand:
		return warning("a pod ran%s in %s; its runner is of a release without checks", where, seconds(took)).next("upgrade the operator to the release of this program")
	case reason == v1alpha1.ReasonCompleted, reason == v1alpha1.ReasonExitCode && d.pod.exit.IsReport():
		return ok("a pod started, ran and was removed%s in %s", where, seconds(took))
	}
	return failed("%s: %s", reason, message).next("%s", adviceOf(reason, "docs/reasons.md describes "+string(reason)))
}

// adviceOf returns what to do about a reason.
func adviceOf(reason v1alpha1.Reason, otherwise string) string {
	switch reason {
	case v1alpha1.ReasonUnschedulable, v1alpha1.ReasonQueued, v1alpha1.ReasonQuotaExceeded:
		return "request less, choose other nodes, or ask an administrator for quota: the group waits for resources"
	case v1alpha1.ReasonVolumeMountFailed:
		return "correct the volumes of the pod: kubectl get pvc; kubectl get events"
	case v1alpha1.ReasonJobRejected:
		return "change what the message names: a policy of the cluster refuses the Job or its pod"
	case v1alpha1.ReasonContainerConfigError:
		return "create the Secret or ConfigMap that the message names, or correct its name"
	default:
		return otherwise
	}
}

// checkPodStore judges what the pod found at the locations.
func (d *doctor) checkPodStore(context.Context) Check {
	p := &d.pod
	switch {
	case len(d.locations()) == 0:
		return skipped("no location is given")
	case d.Presign:
		return skipped("pods have signed URLs for the objects of their own group in place of credentials")
	case p.unmounted != "":
		return failed("no volume of the pod is mounted at %s", strings.TrimPrefix(p.unmounted, fileScheme)).
			next(`mount one: volumes={"/path": "claim"} of the executor, or --volume CLAIM:/path`)
	case !p.exit.IsReport():
		return skipped("the runner of the pod makes no checks")
	case p.exit.Has(contract.CheckRead):
		return failed("the pod cannot read what this machine wrote at %s: %s", d.Assets, p.textOf(func(r *contract.CheckReport) string { return r.ReadError })).
			next("the pod needs permission to read there: docs/stores.md. A file:// location needs the same volume on this machine and in the pod")
	case p.exit.Has(contract.CheckWrite):
		return failed("the pod cannot write at %s: %s", d.outputs(), p.textOf(func(r *contract.CheckReport) string { return r.WriteError })).
			next("give the pod permission to create and to read objects there: docs/stores.md")
	case errors.Is(p.invisible, fs.ErrNotExist):
		return failed("this machine does not find what the pod wrote at %s", d.outputs()).
			next("use the same volume on this machine and in the pod, or set local_paths: file:// is another volume here")
	case p.invisible != nil:
		return failed("this machine cannot read what the pod wrote at %s: %s", d.outputs(), p.invisible).
			next("let this machine read objects that the pods write")
	}
	return d.judgeLeftovers()
}

// judgeLeftovers warns of objects that remain.
func (d *doctor) judgeLeftovers() Check {
	p := &d.pod
	if p.exit.Has(contract.CheckRemove) {
		p.leftovers = append(p.leftovers, p.textOf(func(r *contract.CheckReport) string { return r.RemoveError }))
	}
	if len(p.leftovers) > 0 {
		return warning("the pod reads and writes; an object remains: %s", strings.Join(p.leftovers, "; ")).
			next("remove the objects whose names begin with %s; dispatching needs no permission to delete", objectPrefix)
	}
	did := []string{}
	if p.request.Read != "" {
		did = append(did, "read what this machine wrote at "+d.Assets)
	}
	switch {
	case p.request.Write != "":
		did = append(did, "wrote at "+d.outputs())
	case d.usesGateway:
		did = append(did, "stored its results there")
	}
	if p.request.Keep {
		did = append(did, "this machine read that")
	}
	return ok("the pod %s", strings.Join(did, ", and "))
}

// textOf returns an error of the report.
func (p *podResult) textOf(of func(*contract.CheckReport) string) string {
	if p.report != nil {
		if text := of(p.report); text != "" {
			return text
		}
	}
	return "the details are in the log of the pod, which you may not read"
}
