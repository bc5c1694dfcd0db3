"""Measurements of the losses themselves. Not in the package: `python -m benchmarks.loss` in the repository."""
