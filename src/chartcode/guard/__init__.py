"""The guard: nothing of a patient, no weight, no secret and no machine path enters Git (`chartcode guard`)."""
