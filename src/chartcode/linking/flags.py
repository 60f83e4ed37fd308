"""What a passage may do with what it names: the flags of a mention, by which coders, linker and metrics know them."""

FLAGS = ("negated", "uncertain", "historical", "hypothetical", "family")
ORDER = ("family", "negated", "hypothetical", "historical", "uncertain")  # the first that holds is the context
TAKEN_BACK = ("negated", "hypothetical", "family")  # what is so is not the patient's, or not yet
