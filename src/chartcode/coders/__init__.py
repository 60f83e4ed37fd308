"""Coders: from a clean note to a score for every ICD-10 code."""
