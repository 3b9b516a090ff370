// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

const (
	defaultTTL = 24 * 60 * 60
	// noLimit is Covalent's time_limit for none.
	noLimit = -1
)

// Options are the configuration of an executor. The first five are the attributes of
// Covalent's base class (covalent/executor/base.py); all are JSON, since Covalent
// stores them with every node of a dispatch. They name credentials and never contain
// any, because they are visible in the dispatcher's database and API.
type Options struct {
	// LogStdout and LogStderr are files that the streams are appended to; none if
	// empty. A relative path is below CacheDir/<dispatch>, or below
	// results_dir/<dispatch> if the dispatcher provides one.
	LogStdout string `json:"log_stdout"`
	LogStderr string `json:"log_stderr"`
	// CacheDir is a folder of the dispatcher's machine for error messages. The default
	// is the user's cache folder.
	CacheDir string `json:"cache_dir"`
	// TimeLimit is how long the group may run, in seconds; none if it is not
	// positive. It becomes spec.timeouts.runningSeconds.
	TimeLimit int64 `json:"time_limit"`
	// Retries is how often a failure of the tasks is retried. It becomes
	// spec.retries.limit.
	Retries int32 `json:"retries"`

	// Kubeconfig is a file of the dispatcher's machine. The default is kubectl's.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// Context is a context of the kubeconfig. The default is the current context.
	Context string `json:"context,omitempty"`
	// Namespace is where TaskGroups are created. The default is the namespace of the
	// context.
	Namespace string `json:"namespace,omitempty"`

	// Assets is a URI that pods and dispatcher both reach: Run's objects go below
	// it, and results if Outputs is empty.
	Assets string `json:"assets,omitempty"`
	// Outputs is where results go; Assets with "/results" if empty.
	Outputs string `json:"outputs,omitempty"`
	// Gateway is the asset gateway, as namespace/name of its Service, which is reached
	// through the API server, or as an https URL; gateway.DefaultService if empty. It stores
	// the objects if neither Assets nor Outputs is set.
	Gateway string `json:"gateway,omitempty"`
	// GatewayAccount is the service account in Namespace whose tokens the gateway gets;
	// gateway.DefaultAccount if empty.
	GatewayAccount string `json:"gateway_account,omitempty"`
	// LocalPaths maps folders of file:// URIs, as pods see them, to folders of the
	// dispatcher's machine, if the two differ. Assets and Outputs are as pods see them.
	LocalPaths map[string]string `json:"local_paths,omitempty"`
	// Presign gives the pods URLs that are signed for their own objects, in a Secret of
	// their TaskGroup, in place of credentials: for Outputs, and Assets, that are s3://.
	Presign bool `json:"presign,omitempty"`
	// PresignSeconds is how long the URLs are valid. The default is the maximum, 7 days.
	// URLs that are signed with temporary credentials expire with the credentials.
	PresignSeconds int64 `json:"presign_seconds,omitempty"`
	// PresignEndpoint is the URL by which pods reach the store, if it differs from the
	// dispatcher's.
	PresignEndpoint string `json:"presign_endpoint,omitempty"`
	// PythonImages are images by minor version of Python, such as "3.11". They are
	// used if Pod has no image.
	PythonImages map[string]string `json:"python_images,omitempty"`

	// Dispatcher is the name of the dispatcher, and the label
	// kubernetes.covalent.xyz/dispatcher of its TaskGroups. They have no such label if it
	// is empty.
	Dispatcher string `json:"dispatcher,omitempty"`
	// CancelOnStop makes a bridge that receives SIGTERM cancel the unfinished groups that
	// it sent or polls. It is not for push mode, where a dispatcher continues after a
	// restart.
	CancelOnStop bool `json:"cancel_on_stop,omitempty"`

	// These become fields of the spec without a change.
	Execution               v1alpha1.Execution      `json:"execution,omitempty"`
	Parallelism             *int32                  `json:"parallelism,omitempty"`
	InfrastructureRetries   *int32                  `json:"infrastructure_retries,omitempty"`
	OOMMemoryFactor         string                  `json:"oom_memory_factor,omitempty"`
	QueuedSeconds           *int64                  `json:"queued_seconds,omitempty"`
	StartingSeconds         *int64                  `json:"starting_seconds,omitempty"`
	TaskSeconds             *int64                  `json:"task_seconds,omitempty"`
	TTLSecondsAfterFinished *int32                  `json:"ttl_seconds_after_finished,omitempty"`
	Callback                string                  `json:"callback,omitempty"`
	Pod                     *v1alpha1.PodOptions    `json:"pod,omitempty"`
	Runner                  *v1alpha1.RunnerOptions `json:"runner,omitempty"`

	// Queue is a local queue of Kueue. It becomes the label kueue.x-k8s.io/queue-name of
	// the TaskGroups.
	Queue string `json:"queue,omitempty"`
	// Labels and Annotations are added to the TaskGroups and to their pods. Labels of
	// kueue.x-k8s.io are added to the TaskGroups only, since Kueue reads them there.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// UnknownFields are the options, and the fields of Pod and Runner, that this release does
	// not support, found while decoding. Send refuses them: the group would run without them. The other verbs ignore them: a group that
	// a newer release sent must still finish.
	UnknownFields []string `json:"-"`
}

// DefaultOptions returns the defaults of Covalent's base class, and a day until a
// finished TaskGroup is deleted.
func DefaultOptions() Options {
	return Options{TimeLimit: noLimit, TTLSecondsAfterFinished: new(int32(defaultTTL))}
}

// Validate returns the first invalid option. It makes no requests.
func (o *Options) Validate() error {
	switch {
	case o.Retries < 0:
		return errorf(ErrInvalid, "retries is %d: it must not be negative", o.Retries)
	case o.TimeLimit > 1<<31:
		return errorf(ErrInvalid, "time_limit is %d s, which is too long: use -1 for no limit", o.TimeLimit)
	case len(validation.IsValidLabelValue(o.Dispatcher)) > 0:
		return errorf(ErrInvalid, "dispatcher is %q: %s", o.Dispatcher, validation.IsValidLabelValue(o.Dispatcher)[0])
	case o.CancelOnStop && o.Callback != "":
		return errorf(ErrInvalid, "cancel_on_stop and callback exclude each other: with a callback, the groups of a stopped dispatcher continue")
	}
	if err := o.validateMetadata(); err != nil {
		return err
	}
	for pod, local := range o.LocalPaths {
		if !filepath.IsAbs(pod) || !filepath.IsAbs(local) {
			return errorf(ErrInvalid, "local_paths %q: %q: both must be absolute", pod, local)
		}
	}
	return o.validatePresign()
}

// UnmarshalJSON reads options over the defaults.
func (o *Options) UnmarshalJSON(raw []byte) error {
	type plain Options
	read := plain(DefaultOptions())
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	*o = Options(read)
	o.UnknownFields = unknownFields(raw)
	return nil
}

// OptionNames returns the names of all options that this release supports.
func OptionNames() []string {
	var names []string
	for field := range reflect.TypeFor[Options]().Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unknownOptions returns a description of each option that does not exist.
func unknownOptions(raw []byte) []string {
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return nil
	}
	var unknown []string
	names := OptionNames()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, known := slices.BinarySearch(names, name); !known {
			unknown = append(unknown, fmt.Sprintf("unknown option %q", name))
		}
	}
	return unknown
}

// unknownFields returns a description of each option, and each field of pod and runner,
// that does not exist, with its path. encoding/json accepts such fields, and names in another case.
func unknownFields(raw []byte) []string {
	var nested struct{ Pod, Runner json.RawMessage }
	if json.Unmarshal(raw, &nested) != nil {
		return nil
	}
	unknown := unknownOptions(raw)
	for _, option := range []struct {
		name string
		raw  json.RawMessage
		into any
	}{{"pod", nested.Pod, &v1alpha1.PodOptions{}}, {"runner", nested.Runner, &v1alpha1.RunnerOptions{}}} {
		if len(option.raw) == 0 {
			continue
		}
		problems, err := kjson.UnmarshalStrict(option.raw, option.into)
		if err != nil {
			problems = append(problems, err)
		}
		for _, problem := range problems {
			unknown = append(unknown, option.name+": "+problem.Error())
		}
	}
	return unknown
}

func (o *Options) outputs() string {
	if o.Outputs != "" || o.Assets == "" {
		return o.Outputs
	}
	if namespace, ok := strings.CutPrefix(o.Assets, contract.GatewayScheme+"://"); ok {
		return contract.GatewayOutputs(strings.TrimRight(namespace, "/"))
	}
	return strings.TrimRight(o.Assets, "/") + "/results"
}

// podOptions returns spec.pod of a new group.
func (o *Options) podOptions(info contract.VersionInfo) (*v1alpha1.PodOptions, error) {
	if len(o.UnknownFields) > 0 {
		return nil, errorf(ErrInvalid, "%s: upgrade the program taskgroup, or do not set it; kubectl explain taskgroup.spec lists the fields of pod and runner",
			strings.Join(o.UnknownFields, "; "))
	}
	image, err := o.imageFor(info)
	if err != nil || (image == "" && len(o.Labels) == 0 && len(o.Annotations) == 0) {
		return o.Pod, err
	}
	pod := &v1alpha1.PodOptions{}
	if o.Pod != nil {
		o.Pod.DeepCopyInto(pod)
	}
	if image != "" {
		pod.Image = image
	}
	pod.Labels = merged(podMetadata(o.Labels), pod.Labels)
	pod.Annotations = merged(podMetadata(o.Annotations), pod.Annotations)
	return pod, nil
}

// UploadURI returns where the dispatcher puts an object before Send
// (covalent/executor/base.py, get_upload_uri): below Assets, under the group's name,
// as this machine sees it (LocalPaths). Send converts it to the URI that pods see. It
// is empty, "do not upload", without Assets.
func (e *Executor) UploadURI(group contract.TaskGroupMetadata, key string) string {
	if e.options.Assets == "" {
		return ""
	}
	return strings.TrimRight(e.files().LocalURI(e.options.Assets), "/") + "/" + Name(group.DispatchID, group.TaskGroupID) + "/" + key
}

// podURI returns the URI that pods see of an object below this machine's folder of
// Assets. Other URIs are returned unchanged, because they may be URIs of pods.
func (e *Executor) podURI(uri string) string {
	pods, err := results.FilePath(e.options.Assets)
	if err != nil {
		return uri
	}
	folder := e.files().Local(pods)
	path, err := results.FilePath(uri)
	if err != nil || folder == pods {
		return uri
	}
	relative, err := filepath.Rel(folder, path)
	if err != nil || !filepath.IsLocal(relative) {
		return uri
	}
	return local.URI(filepath.Join(pods, relative))
}
