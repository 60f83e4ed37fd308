"""Structure in a note beside its codes: medications, relations, sections, note types, a summary."""
