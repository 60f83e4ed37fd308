"""How good the codes are: metrics, thresholds, intervals, calibration."""
