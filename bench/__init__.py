"""Benchmarks: each prints a ratio against something run side by side, or the services' own histograms."""
