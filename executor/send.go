// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/presign"
)

// Send creates the TaskGroup of a group and returns its handle
// (covalent/executor/base.py, send).
//
// Sending the same group again returns the same handle; another spec under the
// same name is ErrConflict. The handle is recorded before anything is created, and
// a cancellation that was requested before or meanwhile is honoured with
// ErrCancelled; where the group exists already and cannot be cancelled now, the
// error is not ErrCancelled. An API server that does not answer is retried for
// a minute, then it is ErrUnavailable.
//
// It makes one request, and with Options.Presign a second one, for the Secret with
// the signed URLs; where that one cannot be, the group is cancelled. A group whose
// create may have succeeded is cancelled too if Send fails, unless Config.Resends is
// set. The create is itself the check of the spec: the API server answers with every field that is
// wrong (ErrInvalid), which a dry run would do no better at twice the price.
func (e *Executor) Send(ctx context.Context, tasks []contract.TaskSpec, resources contract.ResourceMap, group contract.TaskGroupMetadata) (Handle, error) {
	desired, err := e.desiredGroup(ctx, tasks, resources, group)
	if err != nil {
		return Handle{}, err
	}
	inputs, err := e.prepareInputs(ctx, desired)
	if err != nil {
		return Handle{}, err
	}
	handle := e.Handle(group)
	if err := e.SetJobHandle(ctx, handle); err != nil {
		return handle, errorf(ErrUnavailable, "recording the handle with the dispatcher: %w", err)
	}
	if err := e.checkCancelRequested(ctx); err != nil {
		return handle, err
	}
	created, err := e.createGroup(ctx, desired)
	if err != nil {
		return handle, e.abandonUnknown(ctx, handle, err)
	}
	handle.UID = created.UID
	// A cancel that came between the check and the create found nothing.
	err = e.checkCancelRequested(ctx)
	if err == nil && inputs != nil {
		if err = e.createURLs(ctx, created, inputs); e.resends && errors.Is(err, ErrUnavailable) {
			// Its pods wait for the Secret, which the next Send creates.
			return handle, err
		}
	}
	if err != nil {
		return handle, e.abandon(ctx, handle, err)
	}
	return handle, nil
}

// prepareInputs moves long lists of arguments to the store, and returns the signed URLs
// of what the group reads; nil without Options.Presign.
func (e *Executor) prepareInputs(ctx context.Context, desired *v1alpha1.TaskGroup) (*presign.URLs, error) {
	all := desired.DeepCopy()
	if err := e.moveToIndex(ctx, &desired.Spec); err != nil || !e.options.Presign {
		return nil, err
	}
	all.Spec.Assets.Index = desired.Spec.Assets.Index
	return e.signInputs(ctx, all)
}

// abandon cancels a group that was created and cannot be, or is not to be, run.
func (e *Executor) abandon(ctx context.Context, handle Handle, err error) error {
	if _, cancelErr := e.cancelGroup(ctx, handle, sendPatience); cancelErr != nil {
		// A caller that reads "cancelled" would forget a group that runs.
		return explain(fmt.Sprintf("the TaskGroup was created, is not wanted any more (%v) and may run on", err), cancelErr)
	}
	return err
}

// abandonUnknown cancels a group whose create was answered by nothing: it may exist,
// and the caller does not send it again.
func (e *Executor) abandonUnknown(ctx context.Context, handle Handle, err error) error {
	if e.resends || !errors.Is(err, ErrUnavailable) {
		return err
	}
	if _, cancelErr := e.cancelGroup(ctx, handle, callPatience); cancelErr != nil {
		return errorf(ErrUnavailable, "%w; the TaskGroup may have been created and could not be cancelled: %w", err, cancelErr)
	}
	return err
}

func (e *Executor) checkCancelRequested(ctx context.Context) error {
	requested, err := e.GetCancelRequested(ctx)
	if err != nil {
		return err
	}
	if requested {
		return errorf(ErrCancelled, "the dispatcher was asked to cancel the task")
	}
	return nil
}

// createGroup creates a TaskGroup, or finds the existing one.
func (e *Executor) createGroup(ctx context.Context, desired *v1alpha1.TaskGroup) (*v1alpha1.TaskGroup, error) {
	key := client.ObjectKeyFromObject(desired)
	sent, err := sentDigest(desired)
	if err != nil {
		return nil, err
	}
	metav1.SetMetaDataAnnotation(&desired.ObjectMeta, v1alpha1.SentAnnotation, sent)
	doing := fmt.Sprintf("creating TaskGroup %s", key)
	var created *v1alpha1.TaskGroup
	err = persist(ctx, sendPatience, func(ctx context.Context) error {
		created = desired.DeepCopy()
		// An older CRD would drop fields that it does not have, and the group would run without them.
		return e.cluster.client.Create(ctx, created, client.FieldValidation(metav1.FieldValidationStrict))
	})
	if !apierrors.IsAlreadyExists(err) {
		return created, explain(doing, err)
	}
	existing := &v1alpha1.TaskGroup{}
	if err := persist(ctx, callPatience, func(ctx context.Context) error { return e.cluster.client.Get(ctx, key, existing) }); err != nil {
		return nil, explain(doing, err)
	}
	if existing.Annotations[v1alpha1.SentAnnotation] != sent && !isSameGroup(&desired.Spec, &existing.Spec) {
		return nil, errorf(ErrConflict, "TaskGroup %s is there already with another spec: was the dispatch sent with other options? Delete it to send the group again", key)
	}
	return existing, nil
}

// sentDigest identifies what is sent, and by which dispatcher, before the API server
// and its admission webhooks change it. Fields that a later release adds to the spec
// do not change it as long as they are not set.
func sentDigest(desired *v1alpha1.TaskGroup) (string, error) {
	raw, err := json.Marshal(struct {
		Dispatcher string                  `json:"dispatcher"`
		Spec       *v1alpha1.TaskGroupSpec `json:"spec"`
	}{desired.Labels[v1alpha1.DispatcherLabel], fixedPart(&desired.Spec)})
	if err != nil {
		return "", fmt.Errorf("encoding a TaskGroup: %w", err)
	}
	return digest(string(raw)), nil
}

// isSameGroup compares what cannot change after creation. It decides about groups
// that a release without SentAnnotation, or another one with other defaults, created.
func isSameGroup(desired, existing *v1alpha1.TaskGroupSpec) bool {
	return equality.Semantic.DeepEqual(fixedPart(desired), fixedPart(existing))
}

// fixedPart is a spec as the API server has it after its defaults, without what
// may change.
func fixedPart(spec *v1alpha1.TaskGroupSpec) *v1alpha1.TaskGroupSpec {
	fixed := spec.DeepCopy()
	fixed.Suspend, fixed.Cancel, fixed.TTLSecondsAfterFinished = false, false, nil
	if urls := presign.SecretSource(fixed); urls != nil {
		// Each Send names another one, and that of the first is the group's.
		urls.SecretName = ""
	}
	if fixed.Execution == "" {
		fixed.Execution = v1alpha1.Sequential
	}
	if fixed.Retries != nil && fixed.Retries.InfrastructureLimit == nil {
		fixed.Retries.InfrastructureLimit = new(int32(3))
	}
	return fixed
}

// desiredGroup is the TaskGroup of a group.
func (e *Executor) desiredGroup(ctx context.Context, tasks []contract.TaskSpec, resources contract.ResourceMap, group contract.TaskGroupMetadata) (*v1alpha1.TaskGroup, error) {
	if group.DispatchID == "" || len(tasks) == 0 {
		return nil, errorf(ErrInvalid, "a group needs a dispatch_id and a task")
	}
	var info contract.VersionInfo
	if len(e.options.PythonImages) > 0 {
		var err error
		if info, err = e.GetVersionInfo(ctx); err != nil {
			return nil, err
		}
	}
	pod, err := e.options.podOptions(info)
	if err != nil {
		return nil, err
	}
	tg := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: e.cluster.Namespace,
		Name:      Name(group.DispatchID, group.TaskGroupID),
		Labels:    map[string]string{v1alpha1.DispatchLabel: DispatchLabel(group.DispatchID)},
	}}
	e.options.addMetadata(&tg.ObjectMeta)
	if e.options.Dispatcher != "" {
		tg.Labels[v1alpha1.DispatcherLabel] = e.options.Dispatcher
	}
	tg.Spec = v1alpha1.TaskGroupSpec{
		DispatchID:  group.DispatchID,
		TaskGroupID: new(group.TaskGroupID),
		Assets: &v1alpha1.Assets{
			Functions: e.assetsOf(resources.Functions),
			Inputs:    e.assetsOf(resources.Inputs),
			Hooks:     e.assetsOf(resources.Hooks),
			Outputs:   v1alpha1.AssetURI(e.options.outputs()),
		},
		Pod: pod,
	}
	for _, task := range tasks {
		tg.Spec.Tasks = append(tg.Spec.Tasks, desiredTask(task))
	}
	e.options.applyTo(&tg.Spec)
	if e.options.Presign {
		return tg, mountURLs(tg)
	}
	return tg, nil
}

func desiredTask(task contract.TaskSpec) v1alpha1.TaskSpec {
	desired := v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(task.ElectronID)}
	for _, node := range task.Args {
		desired.Args = append(desired.Args, v1alpha1.NodeID(node))
	}
	for name, node := range task.Kwargs {
		if desired.Kwargs == nil {
			desired.Kwargs = make(map[string]v1alpha1.NodeID, len(task.Kwargs))
		}
		desired.Kwargs[name] = v1alpha1.NodeID(node)
	}
	return desired
}

// applyTo sets what is not about tasks and objects.
func (o *Options) applyTo(spec *v1alpha1.TaskGroupSpec) {
	spec.Execution = o.Execution
	spec.Runner = o.Runner
	spec.Parallelism = o.Parallelism
	spec.TTLSecondsAfterFinished = o.TTLSecondsAfterFinished
	spec.Retries = &v1alpha1.Retries{Limit: o.Retries, InfrastructureLimit: o.InfrastructureRetries, OOMMemoryFactor: o.OOMMemoryFactor}
	timeouts := v1alpha1.Timeouts{QueuedSeconds: o.QueuedSeconds, StartingSeconds: o.StartingSeconds, TaskSeconds: o.TaskSeconds}
	if o.TimeLimit > 0 {
		timeouts.RunningSeconds = new(o.TimeLimit)
	}
	if timeouts != (v1alpha1.Timeouts{}) {
		spec.Timeouts = &timeouts
	}
	if o.Callback != "" {
		spec.Callback = &v1alpha1.Callback{URL: o.Callback}
	}
}

func nodeKey(node contract.NodeID) string { return node.String() }
