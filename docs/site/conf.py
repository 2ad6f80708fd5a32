"""Sphinx's settings; `build.py` assembles the pages and calls Sphinx."""

from metis_gym import __version__

project = "metis-gym"
author = "The metis-gym developers"
copyright = author
release = version = __version__
html_title = f"metis-gym {__version__}"

extensions = ["myst_parser"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["metis.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f6f54", "color-brand-content": "#1f6f54"},
    "dark_css_variables": {"color-brand-primary": "#7fd0b0", "color-brand-content": "#7fd0b0"},
    "navigation_with_keys": True,
}
pygments_style, pygments_dark_style = "tango", "github-dark"
