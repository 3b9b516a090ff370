// Package controllers reconciles TaskGroups: load everything, decide purely
// (package plan), apply what was decided to the Job, report it in the status.
//
//	TaskGroup --load--> plan.Observed --plan.Decide--> plan.Plan --apply--> Job
//	                                                       |
//	                                                       +--report--> status, event
package controllers
