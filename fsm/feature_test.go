package fsm

import "testing"

// lastOfLevelOne is the highest type number of the commands that there have always been.
const lastOfLevelOne = 56

// TestT30_EveryCommandHasItsLevel: a command that is added later has a level of its own, which this
// build understands; and the level of the build is one that some command needs.
func TestT30_EveryCommandHasItsLevel(t *testing.T) {
	highest := uint32(1)
	for number, make := range commandTypes {
		level := LevelOf(make())
		switch {
		case number > lastOfLevelOne && level < 2:
			t.Errorf("command %d (%T) is new and has no level in since", number, make())
		case number <= lastOfLevelOne && level != 1:
			t.Errorf("command %d (%T) has level %d, want 1: nodes of the first level know it", number, make(), level)
		}
		highest = max(highest, level)
	}
	if highest != FeatureLevel {
		t.Errorf("the build's feature level is %d, want %d, which is the highest that a command needs", FeatureLevel, highest)
	}
	for number := range since {
		if commandTypes[number] == nil {
			t.Errorf("since has the type number %d, which no command has", number)
		}
	}
}
