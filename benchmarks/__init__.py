"""Ratios measured side by side; `benchmarks/README.md` says how to run them and what they mean."""
