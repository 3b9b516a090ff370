// Package sample has a group for every stage of a life, for tests.
package sample
