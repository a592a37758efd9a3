"""The whole assignment: several architectures and seeds on one text, compared and reported."""
