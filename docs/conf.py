"""How Sphinx makes the site: `make docs`, which needs no network, and takes no warning.

The pages are Markdown that can be read as they are.  The docstrings are read by `docstrings.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from trio_wsendpoint import __version__  # noqa: E402

project = "trio_wsendpoint"
author = "The trio_wsendpoint authors"
project_copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinxcontrib_trio",
    "docstrings",
]
exclude_patterns = ["_build"]
nitpicky = True

# ---- Markdown ------------------------------------------------------------------------------------

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
highlight_language = "none"

# ---- the reference -------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
#: What the signatures of the reference name, and no page describes: type variables, and parts of
#: the layers below that an app never makes.
PRIVATE_TYPES = (
    *("addressing.FdAddress", "addressing.SystemdAddress", "addressing.TCPAddress"),
    "addressing.UnixAddress",
    *("channels.T", "testing.runs.T", "testing.schedules.T"),
    *("channels.Messages", "connection.sending.Sending", "connection.tasks.Tasks"),
    *("hub.Policy", "hub.log.Log"),
    *("handshake.query.Query", "options.OptionGroup", "protocol.closing.Closing"),
    *("protocol.defragmenter.Defragmenter", "protocol.extension.MessageExtension"),
    *("protocol.joiner.Joiner", "protocol.message.Cuts", "protocol.message.Form"),
    "protocol.parser.Source",
    *("protocol.shared.SharedMessage", "testing.injector.Injector", "testing.runs.Fault"),
)
nitpick_ignore = [
    *(
        (role, f"trio_wsendpoint.{name}")
        for name in PRIVATE_TYPES
        for role in ("py:class", "py:obj")
    ),
    # Each is what Sphinx makes of a longer type, or of one that is imported for type checkers only.
    ("py:class", "ExtensionParameters"),
    ("py:class", "PerMessageDeflate"),
    ("py:class", "Ts"),
    ("py:class", "collections.abc.Mapping[~trio_wsendpoint.CloseCause"),
    ("py:class", "collections.abc.Mapping[str"),
]
#: Packages that an app may have, whose inventories are not kept here.
nitpick_ignore_regex = [("py:class", r"(prometheus_client|opentelemetry)\..*")]
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.inv"),
    "trio": ("https://trio.readthedocs.io/en/stable", "inventories/trio.inv"),
}

# ---- the pages -----------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"trio_wsendpoint {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
# The theme's own dark style underlines the names of modules, as if they were links.
pygments_dark_style = "github-dark"
