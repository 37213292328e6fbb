"""Forms of a figure: wide for a screen and a page, small for a phone, and colours that turn with light and dark.

A figure function is called once in each form. It asks `is_small` where a phone needs another arrangement; `new_figure`
puts panels one below the other there, and leaves title and tag out, which the page has as text.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

SMALL_IN, SMALL_PT, WIDE_PT = 4.7, 9.0, 8.0
"""Width of the small form in inches, and the least size of text in points. At 390 CSS pixels a page has 358 for a
figure of 338 points, so that 9 points are 9.5 pixels; the wide form is shown from 720 on, where 8 points are that."""
_GAP_PT = 2.0
TITLE, TAG = "title", "tag"
"""The ids of what a figure says in words of its own, which `bare` hides."""
_small: ContextVar[bool] = ContextVar("small", default=False)

PAPER, LIGHT_INK = "#181a1b", "#e8e6e3"
_DARK = {
    "#0072b2": "#4fa3dc",
    "#e69f00": "#e9aa21",
    "#009e73": "#2fbf96",
    "#d55e00": "#f0813a",
    "#cc79a7": "#dd97bd",
    "#56b4e9": "#9dd3f5",
    "#6b6b6b": "#a8a5a0",
    "#1a1a1a": LIGHT_INK,
    "#ffffff": PAPER,
    "#e3e3e3": "#33373a",
    "#f2f2f2": "#222527",
    "#f4f4f4": "#202325",
}
"""The house's colours as they are on dark paper: Okabe and Ito's, a little lighter."""
_COLOUR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")


@contextmanager
def small_form() -> Iterator[None]:
    """Within it, figures are made in their small form."""
    token = _small.set(True)
    try:
        yield
    finally:
        _small.reset(token)


def is_small() -> bool:
    """Whether a figure is being made in its small form."""
    return _small.get()


def columns(n: int, *, small: int = 2) -> int:
    """How many columns a legend of n has: two at most in the small form, or as many as are said."""
    return min(n, small) if is_small() else n


def legible(figure: Figure) -> None:
    """Enlarges all text that is smaller than its form allows."""
    least_pt = SMALL_PT if figure.get_figwidth() == SMALL_IN else WIDE_PT
    if least_pt == SMALL_PT:
        for ax in figure.axes:
            ax.tick_params(labelsize=least_pt)
    for text in _texts(figure):
        if float(text.get_fontsize()) < least_pt:
            text.set_fontsize(least_pt)


def _texts(artist: Artist) -> Iterator[Text]:
    """All text of a figure but that at ticks, which `tick_params` sizes: ticks are made when they are drawn."""
    if isinstance(artist, Text):
        yield artist
    for child in (artist.label, artist.offsetText) if isinstance(artist, Axis) else artist.get_children():
        yield from _texts(child)


def bare(svg: str, figure: Figure, name: str) -> str:
    """A figure's SVG without its title and tag, and without the room that they took at its top."""
    own = [text for text in figure.texts if text.get_gid() in (TITLE, TAG)]
    for text in own:
        first = svg.find(f'<g id="{name}-{text.get_gid()}">')
        svg = svg[: max(first, 0)] + svg[_end_of_group(svg, first) :]
    width, height = (float(inches) * 72 for inches in figure.get_size_inches())
    below = min((text.get_window_extent().y0 / figure.dpi * 72 for text in own), default=height)
    top = max(0.0, height - below - _GAP_PT)
    return re.sub('viewBox="[^"]*"', f'viewBox="0 {top:.2f} {width:.2f} {height - top:.2f}"', svg, count=1)


def _end_of_group(svg: str, first: int) -> int:
    """Where the group that begins there has ended; 0 where none begins."""
    depth = 0
    if first < 0:
        return 0
    for tag in re.compile(r"<g[ >]|</g>").finditer(svg, first):
        depth += 1 if tag[0] != "</g>" else -1
        if not depth:
            return tag.end()
    return first


def turning(svg: str) -> str:
    """An SVG whose colours are CSS variables, which `colours` defines, and whose font is the page's to choose.

    In a page it is light or dark as that is.
    """
    svg = re.sub("font-family: [^;]*; ?", "", svg)
    return _COLOUR.sub(lambda found: f"{found[1]}: var({_name(found[2])})", svg)


def colours(svgs: Iterable[str], *, is_dark: bool) -> str:
    """CSS that defines the variables of `turning`, in the order of their names.

    >>> colours(["fill: var(--c-ffffff); stroke: var(--c-0072b2)"], is_dark=True)
    '--c-0072b2: #4fa3dc; --c-ffffff: #181a1b;'
    """
    used = sorted({name for svg in svgs for name in re.findall(r"var\(--c-([0-9a-f]{6})\)", svg)})
    return " ".join(f"{_name('#' + one)}: {dark('#' + one) if is_dark else '#' + one};" for one in used)


def dark(colour: str) -> str:
    """What a colour is on dark paper: the house's own, or as dark as it was light.

    >>> dark("#ffffff"), dark("#d6e6f4")
    ('#181a1b', '#183046')
    """
    if colour in _DARK:
        return _DARK[colour]
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    turned = colorsys.hls_to_rgb(hue, 0.10 + 0.82 * (1 - lightness), saturation * 0.85)
    return "#" + "".join(f"{round(255 * part):02x}" for part in turned)


def _name(colour: str) -> str:
    return f"--c-{colour[1:]}"
