"""results.svg: CPU time for each request, a panel for each work, the cheapest first."""

import pathlib
from xml.sax.saxutils import escape

from bench import median
from peers import PLAIN, WORKS, Pingora, Portcullis

BAR, GAP, LABEL, WIDTH, VALUE, COLUMNS = 16, 5, 170, 240, 60, 2
PANEL = LABEL + WIDTH + VALUE
OURS, OTHERS, PINGORA, TEXT = "#c2410c", "#94a3b8", "#475569", "#1e293b"


def panel(work, bars, reference, left, top):
    """SVG of one work: `bars` are (peer, µs)."""
    most, zero, bottom = max(value for _, value in bars), left + LABEL, top + 12 + len(bars) * (BAR + GAP)
    texts = [f'<text x="{left}" y="{top}" class="work">{escape(work)}</text>']
    for number, (peer, value) in enumerate(bars):
        y, length = top + 12 + number * (BAR + GAP), max(1, value / most * WIDTH)
        color = OURS if isinstance(peer, Portcullis) else PINGORA if isinstance(peer, Pingora) else OTHERS
        yield f'<rect x="{zero}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{color}"/>'
        texts.append(f'<text x="{zero - 8}" y="{y + 12}" class="name">{escape(peer.label.strip("*"))}</text>')
        texts.append(f'<text x="{zero + length + 6:.1f}" y="{y + 12}">{value:.1f}</text>')
    if reference and reference <= most:
        x = zero + reference / most * WIDTH
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + 8}" y2="{bottom}" stroke="{TEXT}" stroke-dasharray="3 3"/>'
    yield from texts


def write(path, results):
    reference = next((median(figures, "cpu") for (peer, work), figures in results.items() if isinstance(peer, Pingora)), None)
    panels = []
    for work in WORKS:
        bars = sorted(((peer, median(figures, "cpu")) for (peer, at), figures in results.items() if at == work), key=lambda bar: bar[1])
        if bars:
            panels.append((work, bars))
    lines, bottoms = [], [76] * COLUMNS
    for work, bars in panels:
        column = bottoms.index(min(bottoms))
        lines.extend(panel(work, bars, None if work == PLAIN else reference, 16 + column * (PANEL + 24), bottoms[column]))
        bottoms[column] += 12 + len(bars) * (BAR + GAP) + 34
    width, height = 16 + COLUMNS * (PANEL + 24), max(bottoms) - 10
    note = "One worker thread, 64 connections kept alive, 1 KiB answers; medians. Dashed: plain pingora, which checks nothing."
    pathlib.Path(path).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
        "<title>CPU time of the proxy for each request, in microseconds</title>\n"
        f"<style>text {{ font: 12px sans-serif; fill: {TEXT}; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }}"
        " .name { text-anchor: end } .work { font-weight: bold; font-size: 14px }</style>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="16" y="26" style="font-size: 17px; font-weight: bold">CPU time of the proxy for each request, µs (less is better)</text>\n'
        f'<text x="16" y="46">{note}</text>\n' + "\n".join(lines) + "\n</svg>\n"
    )
