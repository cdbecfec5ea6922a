package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fact says where a behaviour that upstream tests assert is checked. Behaviours at the door have
// tests here; those of one package have them there; the rest says why it has none.
type fact struct {
	says string
	test string // a function's name, or the beginning of a subtest's
	why  string // where there is no test: what is different here, or the capability that brings it
}

const later6 = "comes with the issue on metrics and operation: "

var facts = [81]fact{
	1:  {says: "renew by path without a body", test: "TestFact01_RenewByPathWithoutBody"},
	2:  {says: "revoke of an unknown lease", test: "TestFact02_RevokeOfAnUnknownLease"},
	3:  {says: "revoke-prefix that matches nothing", test: "TestFact03_RevokePrefixThatMatchesNothing"},
	4:  {says: "count without irrevocable leases", test: "TestFact04_CountWithoutIrrevocableIsZero"},
	5:  {says: "count of 50 over mounts", test: "TestFact05_CountIsExactByMountAccessor"},
	6:  {says: "list without irrevocable leases", test: "TestFact06_ListWithoutIrrevocableIsAnEmptyArray"},
	7:  {says: "list of 50 over mounts", test: "TestFact07_ListHoldsEachWithItsMount"},
	8:  {says: "10050 without a limit: one warning", test: "TestFact08_WithoutLimitOneWarning"},
	9:  {says: "10050 with limit=none", test: "TestFact09_LimitNoneShowsAll"},
	10: {says: "lease lookup without an ID", test: "TestFact10_LookupWithoutIDIsAMistake"},
	11: {says: "lease lookup", test: "TestFact11_Lookup"},
	12: {says: "lease renew without an ID", test: "TestFact12_RenewWithoutIDIsAMistake"},
	13: {says: "lease renew -increment 60s", test: "TestFact13_RenewByAMinute"},
	14: {says: "lease renew -increment 60", test: "TestFact14_RenewBySeconds"},
	15: {says: "lease revoke -force without -prefix", test: "TestFact15_ForceNeedsPrefix"},
	16: {says: "lease revoke", test: "TestFact16_RevokeIsQueued"},
	17: {says: "lease revoke -sync", test: "TestFact17_RevokeSync"},
	18: {says: "lease revoke -prefix of one lease", test: "TestFact18_APrefixMayBeOneLease"},
	19: {says: "the same with -sync", test: "TestFact19_APrefixMayBeOneLeaseSync"},
	20: {says: "the same with -force", test: "TestFact20_AForcedPrefixMayBeOneLease"},
	21: {says: "a dead server", test: "TestFact21_ADeadServerIsExitCodeTwo"},
	22: {says: "an ID begins with the path", test: "TestFact22_AnIDBeginsWithTheRequestsPath"},
	23: {says: "a lease keeps its login role", test: "TestFact23_WhatALoginMadeKeepsItsRole"},
	24: {says: "paths with .. are refused", test: "TestFact24_PathsWithDotsAreRefused"},
	25: {says: "root without TTL, its renewal", test: "TestFact25_ARootTokenLastsAndDoesNotRenew"},
	26: {says: "no TTL: only root may", test: "TestFact26_OnlyRootLastsForEver"},
	27: {says: "leases of batch tokens", test: "TestFact27_BatchTokensAreRefused"},
	28: {says: "one revoke call", test: "TestFact28_RevokeCallsTheServiceOnce"},
	29: {says: "expiry revokes unasked", test: "TestFact29_ExpiryCallsTheServiceUnasked"},
	30: {says: "sync prefix over three", test: "TestFact30_SyncPrefixCallsForEach"},
	31: {says: "a token's three leases", test: "TestFact31_ATokensEndRevokesWhatItLeased"},
	32: {says: "a token's end does not wait", test: "TestFact32_ATokensEndDoesNotWaitForTheService"},
	33: {says: "failing prefix, force works", test: "TestFact33_AFailingServiceFailsThePrefixButNotTheForce"},
	34: {says: "the same with one lease", test: "TestFact34_TheSameWithOneLeaseAsThePrefix"},
	35: {says: "a token's lease is revoked", test: "TestFact35_RevokingATokensLeaseEndsTheToken"},
	36: {says: "retried after a restart", test: "TestFact36_ARejectedRevokeIsTriedAgainAfterARestart"},
	37: {says: "revoke gets the stored data", test: "TestFact37_RevokeHandsBackWhatWasKept"},
	38: {says: "renew calls once", test: "TestFact38_RenewCallsTheServiceOnce"},
	39: {says: "not renewable: no call", test: "TestFact39_NotRenewableIsNotAskedFor"},
	40: {says: "renew, then expiry revokes", test: "TestFact40_AfterARenewalTheExpiryRevokes"},
	41: {says: "the last second before the maximum", test: "TestFact41_TheLastSecondBeforeMaxTTL"},
	42: {says: "renew gets the data", test: "TestFact42_TheServiceGetsWhatItAskedToKeep"},
	43: {says: "renewal at a login method", test: "TestFact43_ARenewalAsksTheLoginMethod"},
	44: {says: "the same client token back", test: "TestFact44_ARenewedTokenIsTheSameToken"},
	45: {says: "periodic token", test: "TestFact45_APeriodicTokenKeepsItsPeriodAndOneLease"},
	46: {says: "the period beats the maximum", test: "TestFact46_ThePeriodBeatsTheMaximum"},
	47: {says: "the same through approle", test: "TestFact47_ThePeriodBeatsTheMaximumAtALogin"},
	48: {says: "a token that is not renewable", test: "TestFact48_ATokenThatIsNotRenewable"},
	49: {says: "records keep their times", test: "TestFact49_TimesSurviveARestart"},
	50: {says: "no expiry: not renewable", test: "TestFact50_NoExpiryIsNotRenewable"},
	51: {says: "expired: not renewable", test: "TestFact51_AnExpiredLeaseIsNotRenewable"},
	52: {says: "renewable as the flag", test: "TestFact52_RenewableIsTheFlagOfALiveLease"},
	53: {says: "a token's lease: as the token", test: "TestFact53_ATokensLeaseIsRenewableAsTheToken"},
	54: {says: "tidy: lease without a token", why: "cannot be made here: a lease dies in the entry in which its token does; what tidy does for such a one is tested in the package lessor"},
	55: {says: "tidy: unknown tokens", why: "as 54"},
	56: {says: "two tidies at once", test: "TestFact56_TwoTidiesAtOnce"},
	57: {says: "tidy leaves the rest", test: "TestFact57_TidyLeavesLeasesOfLivingTokens"},
	58: {says: "overdue at a restart", test: "TestFact58_WhatExpiredWhileAllWereDownIsRevoked"},
	59: {says: "irrevocable survives a restart", test: "TestFact59_IrrevocableSurvivesARestart"},
	60: {says: "stop clears the cache", why: "there is no cache of irrevocable leases: each node counts them in its replicated state"},
	61: {says: "marking irrevocable", test: "TestFact61_MarkedIrrevocableWithItsError"},
	62: {says: "its times stay", test: "TestFact62_TimesOfAnIrrevocableLeaseStay"},
	63: {says: "counts after marking and force", test: "TestFact63_ForceTakesIrrevocableAway"},
	64: {says: "permanent errors", test: "TestFact66_APermanentErrorMakesIrrevocableAtOnce"},
	65: {says: "passing errors", test: "TestFact67_APassingErrorDoesNot"},
	66: {says: "irrevocable after one permanent failure", test: "TestFact66_APermanentErrorMakesIrrevocableAtOnce"},
	67: {says: "not after a passing one", test: "TestFact67_APassingErrorDoesNot"},
	68: {says: "counts over three mounts", test: "TestFact68_CountsOverThreeMountsWithTenEach"},
	69: {says: "list over three mounts, sorted", test: "TestFact69_ListIsSortedByExpiryThenID"},
	70: {says: "10010: cut and whole", test: "TestFact70_TenThousandAndTheWarningOrAll"},
	71: {says: "gauges by expiry and namespace", why: later6 + "metrics"},
	72: {says: "total = pending + irrevocable", why: later6 + "the totals are shown by metrics"},
	73: {says: "token leases shrink one by one", test: "TestFact73_TheListOfTokenLeasesShrinksByOne"},
	74: {says: "shared policy slices", why: "a matter of upstream's memory; ours is measured as a whole, with a million leases"},
	75: {says: "the workers' environment variable", why: "there is none: workers are bounded per mount, by revoke_concurrency"},
	76: {says: "prefixes end at slashes", test: "TestFact76_PrefixesEndAtSlashes"},
	77: {says: "the body beats the path", test: "TestFact77_TheBodyBeatsThePath"},
	78: {says: "an unknown lease", test: "TestFact78_AnUnknownLease"},
	79: {says: "async revoke of an irrevocable lease", test: "TestFact79_RevokeOfAnIrrevocableLeaseTriesAgain"},
	80: {says: "disabling a mount that fails", test: "TestFact80_DisablingAMountWhoseServiceFails"},
}

// TestEveryFactIsAccountedFor: the table is complete and each test that it names exists.
func TestEveryFactIsAccountedFor(t *testing.T) {
	names := testNames(t)
	for n := 1; n < len(facts); n++ {
		f := facts[n]
		switch {
		case f.says == "" || (f.test == "") == (f.why == ""):
			t.Errorf("fact %d needs a description and either a test or a reason, has %+v", n, f)
		case f.test != "" && !names[f.test]:
			t.Errorf("fact %d (%s): there is no test %s", n, f.says, f.test)
		}
	}
}

var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(|t\.Run\("(Test\w+)"`)

// testNames finds the tests of the whole repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(cluster.Root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			names[m[1]+m[2]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
