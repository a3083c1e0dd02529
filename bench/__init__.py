"""What measures iplog: how fast it is, and what it finds."""
