"""What the portable losses of all frameworks share."""
