"""The documentation site: guides in Markdown, the reference from docstrings, nothing fetched while it is built."""

import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

from pigan import __version__  # noqa: E402

# of sphinx_autodoc_typehints, about what comes after the pinned Sphinx
warnings.filterwarnings("ignore", message=".*_RstSnippetParser.set_application")

project = "pigan"
author = "pigan contributors"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    # of docs/extensions
    "commands",
    "links",
    "packages",
]
exclude_patterns = ["_build"]
root_doc = "index"

# docstrings and guides: `code`, plain quotes and dashes
default_role = "code"
smartquotes = False
myst_heading_anchors = 3
highlight_language = "none"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
# a parameter a line where a signature is longer
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False
typehints_use_signature = True
typehints_use_signature_return = True
typehints_document_rtype = False
always_document_param_types = False
typehints_defaults = None
# about annotations inside of other libraries
suppress_warnings = ["sphinx_autodoc_typehints.forward_reference", "sphinx_autodoc_typehints.guarded_import"]

html_theme = "furo"
html_title = f"pigan {__version__}"
html_static_path = ["static"]
html_css_files = ["pigan.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {
    "light_css_variables": {"color-brand-primary": "#1b5e8a", "color-brand-content": "#1b5e8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc0e8", "color-brand-content": "#7cc0e8"},
}
