"""Where packets come from: sources of raw batches, and the one that joins several in time order."""
