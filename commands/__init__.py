"""The command line: one file a command, thin; each takes its arguments apart and calls typed functions."""
