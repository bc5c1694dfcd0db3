"""What workers recorded: headers, records and footers as types, the files that hold them, the columns they make."""
