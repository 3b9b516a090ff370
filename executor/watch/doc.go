// SPDX-License-Identifier: Apache-2.0

// Package watch observes the TaskGroups that executors created in a namespace, with one
// watch for all polls.
//
// client-go's Reflector lists, watches, resumes at the last version after a break and
// lists again after 410 Gone. Groups is the store behind it. It keeps of each group what
// polls need: of a group that runs its UID, and of a group that finished its status until
// it is received.
package watch
