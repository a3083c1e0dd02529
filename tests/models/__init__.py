"""What the kernel ought to do, written slowly and so that it can be checked by reading."""
