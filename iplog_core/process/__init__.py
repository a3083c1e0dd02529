"""iplog as a process: in the background, known by its pid file, without the rights that it needs no longer."""
