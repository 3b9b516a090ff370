// Package plan decides what a TaskGroup needs next. It is pure: no context,
// client, logger or clock; all that it knows is in Observed and now.
//
//	               Job created          pod runs
//	Pending ------------------> Starting -------> Running
//	   |                           |                 |
//	   |        cancel, or the Job was deleted       | pod ended
//	   +-------------+-------------+--------+--------+
//	                 v                      |        v
//	             Cancelling                 |   Completed, or why
//	                 | Job gone, pods quiet |   it failed
//	                 v                      |
//	             Cancelled <----------------+
//
// The states in the right and bottom corner are terminal: late (no pod of the
// group runs any more) and sticky (Decide never leaves them).
package plan
