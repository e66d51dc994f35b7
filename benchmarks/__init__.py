"""`python -m benchmarks`: what progtrain costs, as ratios within one run."""
