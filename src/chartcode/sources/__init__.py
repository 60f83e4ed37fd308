"""Sources of raw hospital data, each yielding the files of MIMIC-IV."""
