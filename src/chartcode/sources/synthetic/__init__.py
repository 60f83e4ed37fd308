"""The synthetic hospital: invented patients whose files, codes and notes follow MIMIC-IV's published aggregates."""
