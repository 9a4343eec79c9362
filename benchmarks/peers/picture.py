"""Draws the bars of docs/performance.svg with Matplotlib, in an environment of its own.

python picture.py FILE < bars.json
"""

import json
import sys

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The text stays text, and the same numbers give the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bars", "font.family": "sans-serif", "font.size": 10})
OURS, OTHERS = "#1f6feb", "#9aa4b2"


bars = json.load(sys.stdin)
names = [bar["name"] for bar in bars]
colours = [OURS if bar["ours"] else OTHERS for bar in bars]


def panel(axes: Axes, title: str, values: list[float], form: str) -> None:
    """Draw a bar for each contender, with its value at its end."""
    drawn = axes.barh(names, values, color=colours, height=0.62)
    axes.bar_label(drawn, [format(value, form) for value in values], padding=4)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlim(0, max(values) * 1.2)
    axes.xaxis.set_visible(False)
    axes.tick_params(left=False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


figure = Figure(figsize=(9, 0.55 + 0.38 * len(bars)), layout="constrained", facecolor="white")
left, right = figure.subplots(1, 2, sharey=True)
panel(left, "slices per second (more is better)", [bar["rate"] for bar in bars], ",.0f")
panel(right, "CPU per slice, ms (less is better)", [bar["cpu_ms"] for bar in bars], ".2f")
left.invert_yaxis()  # the right one shares it
figure.savefig(sys.argv[1], metadata={"Date": None})
