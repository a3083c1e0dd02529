"""The command `iplog`."""
