"""The tasks: drawn on real photographs, with a necessity that is known and proven."""
