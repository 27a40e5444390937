"""The judge: from block counts to verdicts. `permutation` has the test, `looks` its times, `verdicts` the rules."""
