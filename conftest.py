"""The fixtures of the test kit, for all tests of the tree."""

pytest_plugins = ["iplog_core.testing.plugin"]
