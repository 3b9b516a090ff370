package plan

import "github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"

// Source is whose failure it was.
type Source string

const (
	// User is what the tasks did, or what they were given.
	User Source = "User"
	// Infrastructure is what the cluster did to a pod that may do well elsewhere.
	Infrastructure Source = "Infrastructure"
	// Platform is what the cluster will not do, whoever asks again.
	Platform Source = "Platform"
)

// failureClass is what a reason of failure means for a retry.
type failureClass struct {
	source Source
	// retried says whether another attempt may end otherwise. An input that
	// cannot be unpickled, or an image without Python, fails every time.
	retried bool
}

var failureClasses = map[v1alpha1.Reason]failureClass{
	v1alpha1.ReasonTaskError:             {User, true},
	v1alpha1.ReasonExitCode:              {User, true},
	v1alpha1.ReasonOOMKilled:             {User, true},
	v1alpha1.ReasonHookFailed:            {User, true},
	v1alpha1.ReasonDeadlineExceeded:      {User, true},
	v1alpha1.ReasonInputUnavailable:      {User, true},
	v1alpha1.ReasonInputInvalid:          {User, false},
	v1alpha1.ReasonOutputInvalid:         {User, false},
	v1alpha1.ReasonPythonVersionMismatch: {User, false},
	v1alpha1.ReasonPythonUnavailable:     {User, false},
	v1alpha1.ReasonTooLarge:              {User, false},

	v1alpha1.ReasonEvicted:            {Infrastructure, true},
	v1alpha1.ReasonPreempted:          {Infrastructure, true},
	v1alpha1.ReasonNodeLost:           {Infrastructure, true},
	v1alpha1.ReasonTerminated:         {Infrastructure, true},
	v1alpha1.ReasonOutputUploadFailed: {Infrastructure, true},
	v1alpha1.ReasonUnknown:            {Infrastructure, true},

	v1alpha1.ReasonImagePullFailed:      {Platform, false},
	v1alpha1.ReasonContainerConfigError: {Platform, false},
	v1alpha1.ReasonUnschedulable:        {Platform, false},
	v1alpha1.ReasonQuotaExceeded:        {Platform, false},
	v1alpha1.ReasonJobRejected:          {Platform, false},
	v1alpha1.ReasonNameConflict:         {Platform, false},
	v1alpha1.ReasonPlanInvalid:          {Platform, false},
}

// SourceOf is whose failure a reason tells of. A reason that is not known here
// came from a container, so it is the user's.
func SourceOf(reason v1alpha1.Reason) Source {
	if class, ok := failureClasses[reason]; ok {
		return class.source
	}
	return User
}

// IsFailure says whether a reason is one of the API's for a failed group.
func IsFailure(reason v1alpha1.Reason) bool {
	_, ok := failureClasses[reason]
	return ok
}
