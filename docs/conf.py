"""How Sphinx makes the site of the documents in this tree: `make docs`.

The sources are the checkout, not docs/ alone, so that a link from a document to the README of a plugin, or to a file of the code, is the same here and
where the tree is looked at.
"""

import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

project = "iplog"
author = "the iplog authors"
release = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**", "plugins/*/README.md", "bench/README.md", "tests/captures/README.md"]
exclude_patterns = [".*", "build", "dist", "docs/man", "docs/site", "iplog_core", "**/__pycache__", "**/*.egg-info"]

myst_heading_anchors = 4
nitpicky = True
smartquotes = False  # "90s" is to be pasted

html_theme = "furo"
html_title = f"iplog {release}"
html_extra_path = ["site"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
