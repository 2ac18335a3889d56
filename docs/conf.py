"""How the pages are built: ``uv run sphinx-build -W docs docs/_build``. Nothing is fetched, neither then nor when they are read."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from darkknowledge import __version__

project = "darkknowledge"
author = "The darkknowledge developers"
project_copyright = "The darkknowledge developers. Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
default_role = "py:obj"
highlight_language = "none"  # formulas and messages; programs say what they are
smartquotes = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["lightning"]  # which takes seconds to import, for one class
python_maximum_signature_line_length = 100
html_math_renderer = "mathml"
suppress_warnings = ["ref.python"]  # a record's field and a function may share a name

html_theme = "furo"
html_title = "darkknowledge"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
