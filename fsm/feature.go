package fsm

import "reflect"

// FeatureLevel is the highest level of commands that this build understands. It grows by one with a
// release that adds commands. A cluster's level, which the log holds, follows once all members
// understand it, and no command above it is proposed before (guarantee T30).
const FeatureLevel = 2

// since says at which level a command was added, by its type number. What is not listed has been
// there from the first level on.
var since = map[byte]uint32{
	57: 2, 58: 2, 59: 2, // autopilot's settings, join tokens
	60: 2, // ReleaseHold
	61: 2, // Lineage
}

// LevelOf is the feature level that a cluster must have before cmd may be proposed.
func LevelOf(cmd Command) uint32 {
	if level, ok := since[commandNumbers[reflect.TypeOf(cmd)]]; ok {
		return level
	}
	return 1
}
