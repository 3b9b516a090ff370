// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// checkImage judges what the pod found in its image.
func (d *doctor) checkImage(context.Context) Check {
	p, image := &d.pod, d.imageName()
	switch pod := d.made[CheckPod]; {
	case p.image != "":
		return failed("%s cannot be pulled: %s", image, p.image).
			next("correct the name of the image, or give the pods a Secret of the registry: image_pull_secrets, spec.pod.imagePullSecrets")
	case pod.Status == Skipped && strings.HasPrefix(pod.Message, "because "):
		return skipped("%s", pod.Message)
	case pod.Status == Skipped:
		return skipped("because %s was skipped: %s", CheckPod, pod.Message)
	case pod.Status == Failed:
		return skipped("because %s failed", CheckPod)
	case !p.exit.IsReport():
		return skipped("the runner of the pod makes no checks")
	case p.exit.Has(contract.CheckPython):
		return failed("%s has no usable Python: %s", image, p.textOf(func(r *contract.CheckReport) string { return r.PythonError })).
			next("use an image with Python 3.9 or newer and cloudpickle: functions fail with PythonUnavailable, only commands run")
	case p.exit.Has(contract.CheckCloudpickle):
		return failed("%s has no cloudpickle: %s", image, p.textOf(func(r *contract.CheckReport) string { return r.CloudpickleError })).
			next("install it in the image: pip install %s; functions fail with PythonUnavailable without it", d.requirement())
	case p.exit.Has(contract.CheckVersion):
		return d.mismatch(image)
	}
	return d.compareCloudpickle(image)
}

// imageName returns what users call the image.
func (d *doctor) imageName() string {
	if pod := d.Group.Spec.Pod; pod != nil && pod.Image != "" {
		return "the image " + pod.Image
	}
	return "the operator's default image"
}

func (d *doctor) requirement() string {
	if d.Versions.Cloudpickle == "" {
		return "cloudpickle"
	}
	return "cloudpickle==" + d.Versions.Cloudpickle
}

// mismatch is an image with another Python. Only the functions of a dispatcher are
// pickled by the Python of this machine.
func (d *doctor) mismatch(image string) Check {
	check := failed("%s has %s, and functions are pickled here by Python %s: they fail with PythonVersionMismatch",
		image, d.pod.pythonFound(), d.Versions.Python)
	if !d.Dispatcher {
		check.Status = Warning
	}
	minor := minorOf(d.Versions.Python)
	return check.next(`use an image with Python %s, or list one in python_images={"%s": "..."}`, minor, minor)
}

func (p *podResult) pythonFound() string {
	if p.report == nil || p.report.Python == "" {
		return "another Python"
	}
	return "Python " + p.report.Python
}

// compareCloudpickle warns of an image whose cloudpickle is older than that of this
// machine.
func (d *doctor) compareCloudpickle(image string) Check {
	report := d.pod.report
	if report == nil {
		return ok("%s has Python and cloudpickle%s; you may not read the log with their versions", image, d.sameMinor())
	}
	found := fmt.Sprintf("%s has Python %s and cloudpickle %s", image, report.Python, report.Cloudpickle)
	there, err := version.ParseGeneric(report.Cloudpickle)
	if err != nil {
		return ok("%s", found)
	}
	here, err := version.ParseGeneric(d.Versions.Cloudpickle)
	if err != nil {
		return ok("%s", found)
	}
	if there.LessThan(here) {
		return warning("%s, here is the newer %s: functions whose pickles it cannot read fail with InputInvalid", found, d.Versions.Cloudpickle).
			next("install the same release in the image: pip install %s", d.requirement())
	}
	return ok("%s; here are %s and %s", found, d.Versions.Python, d.Versions.Cloudpickle)
}

func (d *doctor) sameMinor() string {
	if d.Versions.Python == "" {
		return ""
	}
	return ", the Python " + minorOf(d.Versions.Python) + " of this machine"
}

// minorOf returns major.minor of a version.
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
