"""The frame of a page: one style, one script, and the policy that allows these two by their digests, nothing else."""

import base64
import hashlib
from importlib.resources import files

from metis_gym.viewer.markup import Html, text

__all__ = ["asset", "document_html", "policy_of"]


def asset(package: str, name: str) -> str:
    """A style or script that comes with a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def policy_of(style: str, script: str, forms: str = "'none'") -> str:
    """The content security policy of a page.

    Args:
        style: Its style.
        script: Its script.
        forms: Where its forms may lead, as a source of the policy.
    """
    return (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        f"base-uri 'none'; form-action {forms}"
    )


def document_html(title: str, style: str, script: str, body: Html, forms: str = "'none'") -> str:
    """A whole page around a body: the only place with a style and a script. `forms` as in `policy_of`."""
    referrer = "no-referrer" if forms == "'none'" else "same-origin"  # a form without a referrer names no origin either
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy_of(style, script, forms)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="{referrer}">\n'
        f"<title>{text(title)} · metis-gym</title>\n<style>{style}</style>\n</head>\n"
        f"<body>{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(content: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"
