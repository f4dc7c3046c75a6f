"""What predicts: the sparse linear classifier's artefact (and, from the benchmark stage on, text generation)."""
