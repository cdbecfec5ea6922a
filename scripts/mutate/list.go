package main

import "slices"

// mutations is the whole list, from the state machine outwards.
func mutations() []mutation {
	return slices.Concat(ofState, ofTokens, ofCluster, ofMembers, ofLeader, ofVerbs, ofSurface, ofAccess, ofCare, ofEngines)
}
