"""Every colour of the status page stands out from what is behind it, in light and dark (WCAG 1.4.3, 1.4.11)."""

from __future__ import annotations

import re
from importlib import resources

import pytest

CSS = resources.files("collector.service.web").joinpath("static/page.css").read_text()
TEXTS = ("ink", "quiet", "link", "good", "warn", "bad")
SHAPES = ("complete", "in-doubt", "partial", "failed", "refused", "missing", "not-due", "use", "focus")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


LIGHT, DARK = map(colours, re.findall(r":root \{(.*?)\}", CSS, re.DOTALL))


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
def test_texts_and_shapes_stand_out(scheme: dict[str, str]) -> None:
    assert LIGHT.keys() >= {*TEXTS, *SHAPES}
    for behind in ("paper", "raised"):
        assert {name: c for name in TEXTS if (c := contrast(scheme[name], scheme[behind])) < 4.5} == {}
        assert {name: c for name in SHAPES if (c := contrast(scheme[name], scheme[behind])) < 3} == {}
    for behind in ("bad-wash", "warn-wash"):
        assert contrast(scheme["ink"], scheme[behind]) > 4.5
        assert contrast(scheme["quiet"], scheme[behind]) > 4.5
