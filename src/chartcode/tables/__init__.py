"""Raw files to model-ready tables: bronze, silver, split, gold."""
