"""Benchmarks under fixed protocols: generate once, keep every completion, score many times, publish what can be recomputed."""
