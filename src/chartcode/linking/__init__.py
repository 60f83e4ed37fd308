"""Which concepts a note mentions, where, and with what p: names, matcher, context, linker, calibration."""
