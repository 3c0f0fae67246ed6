"""Benchmarks: ratios of alternating runs. See `benchmarks/README.md`."""
