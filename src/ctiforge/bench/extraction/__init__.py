"""Reading the answer out of a completion, one module a kind of answer; `ctiforge.bench.extract` has the rules by name."""
