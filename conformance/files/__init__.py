"""Files that may be hostile, half there or somebody else's: opened and read within limits, written whole, locked."""
