"""Makes one HTML file of the page's parts. It contains style, script and data, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib import resources
from string import Template

from carousel.page.moments import Moments
from carousel.page.packing import page_json
from carousel.page.trees import TreeMoments, tree_json

# In the order in which they form one script: each file uses those before it.
SCRIPTS = (
    "dom.js",
    "unpack.js",
    "program.js",
    "layer.js",
    "look.js",
    "run.js",
    "colour.js",
    "search.js",
    "findings.js",
    "colouring.js",
    "symbols.js",
    "signals.js",
    "next_symbols.js",
    "classes.js",
    "guesses.js",
    "quantiles.js",
    "unrolled.js",
    "heatmap.js",
    "memory.js",
    "units.js",
    "similar.js",
    "flow.js",
    "live.js",
    "page.js",
)

TREE_SCRIPTS = ("dom.js", "unpack.js", "colour.js", "colouring.js", "tree.js", "tree_page.js")


def document(pages: Sequence[Moments | TreeMoments], *, live: str | None = None) -> str:
    """The page of one run, or of several side by side. live: for a page that is served, its first text.

    The page's security policy allows only its own script, and, on a live page, requests to its own server.
    """
    names = " and ".join(page.name for page in pages)
    summary = pages[0].summary
    if trees := [page for page in pages if isinstance(page, TreeMoments)]:
        return _whole(names, summary, tree_json(trees), TREE_SCRIPTS, style=_part("page.css") + _part("tree.css"))
    steps = [page for page in pages if isinstance(page, Moments)]
    if live is not None:
        unit = steps[0].unit
        summary = (
            f"Type, and the network reads on, {unit} by {unit}. What needs a longer text (the diagnosis, timescales, "
            f"properties, gradients) is of the {len(steps[0].steps.scans[0].input_rows):,} steps that the page began "
            f"with."
        )
    return _whole(names, summary, page_json(steps, live=live), SCRIPTS, style=_part("page.css"), live=live is not None)


def _whole(names: str, summary: str, moments: str, scripts: tuple[str, ...], *, style: str, live: bool = False) -> str:
    """The page of these runs. moments: the data for the scripts."""
    script = "\n" + "\n".join(_part(name) for name in scripts)
    policy = [
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        # The script sets colours and sizes, which browsers count as inline style.
        "style-src 'unsafe-inline'",
        "img-src data:",
        "connect-src 'self'" if live else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return Template(_part("page.html")).substitute(
        policy="; ".join(policy),
        title=html.escape(f"Inside {names}"),
        summary=html.escape(summary),
        style=style,
        moments=moments,
        script=script,
    )


def _part(name: str) -> str:
    return (resources.files("carousel.page") / "static" / name).read_text("utf-8")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
