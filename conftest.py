"""The fixtures of the test kit, for all tests of the tree, and which of these must not run at the same time in two processes (`pytest -n 2`)."""

from __future__ import annotations

from typing import Any

import pytest

pytest_plugins = ["iplog_core.testing.plugin"]

ONE_AFTER_THE_OTHER = {
    # On networks of their own: a flood in one would take the time in which another has to answer.
    "network": (
        "plugins/block/tests/test_block_live.py",
        "tests/test_interfaces.py", "tests/test_live.py", "tests/test_live_handles.py", "tests/test_matrix.py", "tests/test_names_in_lines.py",
        "tests/test_names_live.py", "tests/test_names_watching.py", "tests/test_state.py::test_a_watch_goes_on", "tests/test_watch.py",
    ),
    # With servers on this host: two might choose the same free port.
    "servers": ("plugins/notify/tests/", "plugins/syslog/tests/"),
    # Projects that are installed once, for all tests of the module.
    "new plugins": ("tests/test_new_plugin_installed.py",),
}  # fmt: skip
"""Beginnings of the names of tests that one process makes, the whole group; any other test is made by the process that has time for it."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    # Not by the mark `xdist_group`, which pytest-xdist 3.8 overlooks, without a word, where pytest is 9.2 or later.
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return next((group for group, tests in ONE_AFTER_THE_OTHER.items() if nodeid.startswith(tests)), nodeid)

    return Scheduling(config, log)
