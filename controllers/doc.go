// Package controllers reconciles TaskGroups: load everything, decide purely
// (package plan), apply what was decided to the Job, report it in the status.
//
//	TaskGroup --load--> plan.Observed --plan.Decide--> plan.Plan --apply--> Job
//	                                                       |
//	                                                       +--report--> status, event
//
// # One Job per attempt, whoever looks
//
// A Job's name comes from the group's UID and the attempt, so creating it twice is
// creating it once, as long as it is there. The status names it with the first
// write after it, which saves one; until then a process that did not create it
// itself cannot tell a Job that never was from one that is gone. Leader election
// does not help: it does not fence. So a Job is only created where
//
//   - this process saw the group being created, has not stood still since, and has
//     met no other active operator (type doubt): nobody else can have; or
//   - the API server says that the group is as it was read, that there is no such
//     Job, and that no event tells of one (confirm.go);
//
// and the request is not sent once what was seen is old (type fence): a process
// that was stopped in between is caught when it goes on. What is left is another
// operator that creates the Job, and a person who deletes it, within the few
// milliseconds between the answer and the request.
//
// # What Cancelled promises
//
// When a group is called Cancelled, the API server has said that no pod of it runs;
// and where its attempt never had a Job that anybody knows of, also that there is none
// and that no event tells of one, a second (settleTime) after the cancellation was
// first seen. That outlasts another active operator whose cache is at most half a
// second behind, since it sends nothing that it decided more than another half ago
// (decisionLife). Not promised is what one does whose cache is further behind, that has
// met nobody and vouches for the group, or whose request is on its way for longer: its
// Job comes after the end. The API server has no precondition on a create that would refuse it: an owner
// reference is not checked against its owner's spec. Such a Job is nobody's to delete
// by a group that has ended; its pod is told of by a warning event and
// taskgroup_pods_after_end_total, and ends with its TaskGroup.
package controllers
