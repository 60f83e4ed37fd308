def short_forms(text):
    return []
