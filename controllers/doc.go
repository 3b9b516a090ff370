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
package controllers
