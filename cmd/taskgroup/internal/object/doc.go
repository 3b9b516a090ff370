// Package object prints TaskGroups for programs: JSON, YAML and names.
package object
