"""From evidence to verdicts: the right answers, the bound around each, and what a record is worth beside them."""
