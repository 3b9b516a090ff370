package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// createdJobs remembers the Jobs that this process created until their groups
// end, because the cache and the status learn of them later. Its zero value is
// ready to use.
type createdJobs struct {
	mu   sync.Mutex
	jobs map[types.NamespacedName]createdJob
}

type createdJob struct {
	group types.UID
	job   types.UID
}

func (c *createdJobs) remember(tg *v1alpha1.TaskGroup, job types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobs == nil {
		c.jobs = make(map[types.NamespacedName]createdJob)
	}
	c.jobs[client.ObjectKeyFromObject(tg)] = createdJob{group: tg.UID, job: job}
}

// get returns the UID of the Job created for this very object; empty for none.
func (c *createdJobs) get(tg *v1alpha1.TaskGroup) types.UID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.jobs[client.ObjectKeyFromObject(tg)]; known.group == tg.UID {
		return known.job
	}
	return ""
}

func (c *createdJobs) forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, name)
}
