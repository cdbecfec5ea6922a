// Package command holds the commands of the replicated log and the records of a snapshot,
// generated from command.proto. "make generate" rebuilds it.
package command

//go:generate protoc --go_out=. --go_opt=paths=source_relative command.proto
