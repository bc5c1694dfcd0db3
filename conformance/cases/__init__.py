"""The cases: those of the documents, those that xent adds, and a user's own; and the clauses that they test."""
