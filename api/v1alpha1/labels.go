package v1alpha1

const (
	// UIDLabel is on every Job and pod of a group and holds the TaskGroup's UID.
	// The operator caches nothing that lacks it.
	UIDLabel = GroupName + "/taskgroup-uid"
	// AttemptLabel is on every Job and pod of a group and counts from 1.
	AttemptLabel = GroupName + "/attempt"
	// NameLabel is on every Job and pod whose TaskGroup's name fits in a label.
	NameLabel = GroupName + "/taskgroup"
	// DispatchLabel is on every Job and pod whose dispatch ID fits in a label, and
	// on every TaskGroup that the executor creates: there the ID's hash stands for
	// one that does not fit.
	DispatchLabel = GroupName + "/dispatch"
	// DispatcherLabel is on every TaskGroup of an executor that has a name for its
	// dispatcher.
	DispatcherLabel = GroupName + "/dispatcher"

	// QueueLabel is Kueue's. On a TaskGroup it is passed on to its Jobs.
	QueueLabel = "kueue.x-k8s.io/queue-name"

	// NameAnnotation is on every pod and holds the TaskGroup's full name, which
	// may be longer than a label's value.
	NameAnnotation = GroupName + "/taskgroup"
	// NodesAnnotation is on every pod of a Parallel group's later attempts: the
	// nodeIDs, separated by commas, that its completion indexes stand for. An
	// attempt without it runs all tasks, in their order.
	NodesAnnotation = GroupName + "/nodes"
	// DeliveryAnnotation is on every pod: how the runner is delivered to it.
	DeliveryAnnotation = GroupName + "/delivery"
	// DeliveredAnnotation is on a TaskGroup with spec.callback: the nodeIDs,
	// separated by commas, whose end the dispatcher has taken note of.
	DeliveredAnnotation = GroupName + "/delivered"
	// DefaultContainerAnnotation is kubectl's: which container `kubectl logs` shows.
	DefaultContainerAnnotation = "kubectl.kubernetes.io/default-container"
)
