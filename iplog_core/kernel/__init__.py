"""The compiled loops: reading, decoding, flows, tracking."""
