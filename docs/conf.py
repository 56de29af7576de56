"""How `make docs` builds the site: the pages are Markdown (MyST), the reference is read from docstrings.

The folder of sources is the root of the repository, since pages link to README, CHANGELOG and code.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "site"))  # docstrings.py and reference.py

import carousel  # noqa: E402

project = "Carousel"
author = "The Carousel developers"
copyright = "The Carousel developers"
version = release = carousel.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "contents",
    "docstrings",
    "gallery",
    "reference",
]
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md"]
exclude_patterns = ["docs/site/**"]
root_doc = "README"
source_suffix = {".md": "markdown"}
nitpicky = True
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
copybutton_prompt_text = "$ "

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say the types that matter, in words
autodoc_inherit_docstrings = False
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"Carousel {release}"
html_extra_path = ["site/extra"]  # index.html, which leads to README.html
html_copy_source = False
html_show_sphinx = False
