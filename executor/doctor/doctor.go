// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// Name identifies a check.
type Name string

// The checks.
const (
	// CheckCluster is the kubeconfig and the API server.
	CheckCluster Name = "cluster"
	// CheckCRD is the TaskGroup API, and the fields that this program may set.
	CheckCRD Name = "crd"
	// CheckOperator is an operator that processes TaskGroups of the namespace.
	CheckOperator Name = "operator"
	// CheckPermissions are the permissions of a dispatcher.
	CheckPermissions Name = "permissions"
	// CheckNamespace is the namespace and its Pod Security level.
	CheckNamespace Name = "namespace"
	// CheckStore is the store, from this machine.
	CheckStore Name = "store"
	// CheckPod is a pod with the options of real groups.
	CheckPod Name = "pod"
	// CheckPodStore is the store, from that pod.
	CheckPodStore Name = "pod-store"
	// CheckImage is the image of that pod.
	CheckImage Name = "image"
)

// Status is the result of a check.
type Status string

// The results.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
	// Skipped is a check that was not made; its message states why.
	Skipped Status = "skipped"
)

// Check is a check that was made, or skipped.
type Check struct {
	Name    Name   `json:"name"`
	Status  Status `json:"status"`
	Message string `json:"message"`
	// Next is what to do; empty for checks that are OK.
	Next string `json:"next,omitempty"`
}

// ConnectError is an error of Config.Connect with what to do.
type ConnectError struct{ What, Next string }

func (e *ConnectError) Error() string { return e.What }

// Report has all checks, in their order.
type Report struct {
	Checks []Check `json:"checks"`
	// OK reports whether no check failed.
	OK bool `json:"ok"`
}

// Versions are the Python and the cloudpickle that functions are pickled with.
type Versions struct {
	Python      string `json:"python,omitempty"`
	Cloudpickle string `json:"cloudpickle,omitempty"`
}

// Config is what to check.
type Config struct {
	// Connect connects to the cluster and selects the namespace.
	Connect func() (*Cluster, error)
	// Group has the labels, annotations and options of real groups, without tasks.
	Group *v1alpha1.TaskGroup
	// Assets and Outputs are locations, as pods see them; empty for none.
	Assets, Outputs string
	// LocalPaths maps folders of file:// URIs, as pods see them, to folders of this machine.
	LocalPaths map[string]string
	// Stores are opened from this machine; files only if nil.
	Stores *store.Stores
	// Gateway returns the asset gateway for a namespace, which is checked if there is no
	// location; it may be nil. Stores open its objects.
	Gateway func(namespace string) (*gateway.Gateway, error)
	// Presign states that pods have signed URLs in place of credentials.
	Presign bool
	// Dispatcher states that this machine writes functions and reads results: it has to
	// reach the store, and its Python has to suit the image.
	Dispatcher bool
	// Versions are of this machine; empty if they are unknown.
	Versions Versions
	// NoPod leaves out the checks that start a pod.
	NoPod bool
	// Timeout bounds the wait for the pod; 2 min if 0.
	Timeout time.Duration
	// OperatorTimeout bounds the wait for the operator; 30 s if 0.
	OperatorTimeout time.Duration
	// Progress receives what a check waits for; Done receives each check when it is made.
	Progress func(string)
	Done     func(Check)
}

// doctor is one run.
type doctor struct {
	Config
	cluster *Cluster
	// id is part of the names of everything that this run creates.
	id string
	// made are the checks so far.
	made map[Name]Check
	// usesGateway is set if the objects of groups are in the asset gateway.
	usesGateway bool
	// pod is what the pod of CheckPod reported.
	pod podResult
}

// step is a check and those that it needs.
type step struct {
	name  Name
	needs []Name
	run   func(*doctor, context.Context) Check
}

// steps are the checks in the order in which they are made and printed.
var steps = []step{
	{CheckCluster, nil, (*doctor).checkCluster},
	{CheckCRD, []Name{CheckCluster}, (*doctor).checkCRD},
	{CheckOperator, []Name{CheckCRD}, (*doctor).checkOperator},
	{CheckPermissions, []Name{CheckCluster}, (*doctor).checkPermissions},
	{CheckNamespace, []Name{CheckCluster}, (*doctor).checkNamespace},
	{CheckStore, nil, (*doctor).checkStore},
	{CheckPod, []Name{CheckPermissions, CheckNamespace, CheckOperator}, (*doctor).checkPod},
	{CheckPodStore, []Name{CheckPod}, (*doctor).checkPodStore},
	{CheckImage, nil, (*doctor).checkImage},
}

// Names returns the names of all checks, in their order.
func Names() []Name {
	names := make([]Name, 0, len(steps))
	for i := range steps {
		names = append(names, steps[i].name)
	}
	return names
}

const (
	defaultTimeout         = 2 * time.Minute
	defaultOperatorTimeout = 30 * time.Second
	// storeTimeout bounds the retries of a store: the user waits for it.
	storeTimeout = 10 * time.Second
)

// Run makes all checks. The error is the error of ctx if it was cancelled, after everything
// was removed; the report then lacks checks.
func Run(ctx context.Context, config Config) (*Report, error) {
	d := &doctor{Config: config, id: rand.String(10), made: map[Name]Check{}}
	d.setDefaults()
	report := &Report{OK: true}
	for _, step := range steps {
		check := d.make(ctx, step)
		if err := ctx.Err(); err != nil {
			return report, fmt.Errorf("checking: %w", context.Cause(ctx))
		}
		check.Name = step.name
		d.made[step.name] = check
		report.Checks = append(report.Checks, check)
		report.OK = report.OK && check.Status != Failed
		d.Done(check)
	}
	return report, nil
}

func (d *doctor) setDefaults() {
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	if d.OperatorTimeout == 0 {
		d.OperatorTimeout = defaultOperatorTimeout
	}
	if d.Group == nil {
		d.Group = &v1alpha1.TaskGroup{}
	}
	if d.Stores == nil {
		d.Stores = store.New(map[string]store.Backend{"file": local.New()})
		d.Stores.RetryTimeout = storeTimeout
	}
	if d.Progress == nil {
		d.Progress = func(string) {}
	}
	if d.Done == nil {
		d.Done = func(Check) {}
	}
}

// make makes a check unless one that it needs did not succeed.
func (d *doctor) make(ctx context.Context, s step) Check {
	for _, name := range s.needs {
		switch needed := d.made[name]; {
		case needed.Status == OK, needed.Status == Warning:
		case needed.Status == Failed:
			return skipped("because %s failed", name)
		case strings.HasPrefix(needed.Message, "because "):
			return skipped("%s", needed.Message)
		default:
			return skipped("because %s was skipped: %s", name, needed.Message)
		}
	}
	return s.run(d, ctx)
}

func ok(format string, args ...any) Check {
	return Check{Status: OK, Message: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) Check {
	return Check{Status: Skipped, Message: fmt.Sprintf(format, args...)}
}

// next adds what to do.
func (c Check) next(format string, args ...any) Check {
	c.Next = fmt.Sprintf(format, args...)
	return c
}

func failed(format string, args ...any) Check {
	return Check{Status: Failed, Message: fmt.Sprintf(format, args...)}
}

func warning(format string, args ...any) Check {
	return Check{Status: Warning, Message: fmt.Sprintf(format, args...)}
}

// outputs returns where results go, as executor.Options does.
func (c *Config) outputs() string {
	if c.Outputs != "" || c.Assets == "" {
		return c.Outputs
	}
	return c.Assets
}

// locations returns the distinct locations, assets first.
func (c *Config) locations() []string {
	var all []string
	for _, location := range []string{c.Assets, c.outputs()} {
		if location != "" && !slices.Contains(all, location) {
			all = append(all, location)
		}
	}
	return all
}

// object returns the URI of an object of this run.
func (d *doctor) object(location, suffix string) string {
	return strings.TrimRight(location, "/") + "/" + objectPrefix + d.id + "-" + suffix
}

// objectPrefix begins the names of all objects that a check writes.
const objectPrefix = "taskgroup-check-"
