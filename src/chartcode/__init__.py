"""chartcode: discharge summaries to ICD-10 codes, with evidence."""

__version__ = "0.1.0"
