"""The configuration of the classic program: its iplog.conf and its command line, in terms of the settings.

Both have one vocabulary (`words`), and each word is an operation on the table of settings (`translation`). Nowhere else does the core know a bundled
plugin by name.
"""
