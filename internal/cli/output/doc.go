// Package output prints TaskGroups for programs: JSON, YAML and names.
package output
