"""The names of concepts, gathered from the publishers' files: titles, index, ontologies, abbreviations, aliases."""
