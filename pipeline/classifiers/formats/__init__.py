"""Networks in other people's formats: one module each, with `load(entry) -> Classifier`."""
