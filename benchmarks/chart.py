"""Draws report.py's chart: bars in groups, each with its name and value beside it, as an SVG."""
from xml.sax.saxutils import escape

WIDTH = 600
LEFT = 96  # where the bars begin; the longest goes to the edge
TOP = 90
BAR = 17
GAP = 3
GROUP_GAP = 14

STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.title { font-size: 18px; font-weight: 600; }
.group, .inside { font-weight: 600; }
.group, .inside, .unit { text-anchor: end; }
.quiet { fill: #59636e; }
.inside { fill: #ffffff; }
.first { fill: #0969da; }
.other { fill: #afb8c1; }
line { stroke: #818b98; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .inside { fill: #0d1117; }
  .first { fill: #58a6ff; }
  .other { fill: #656c76; }
  line { stroke: #656c76; }
}
"""


def text(x, y, content, style):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{style}">{escape(content)}</text>'


def draw(groups, title, subtitle, unit):
    """`groups` is {group: {name: value}}; the first name of each is the one to look at, 1 is `unit`."""
    scale = (WIDTH - LEFT) / max(value for bars in groups.values() for value in bars.values())
    shapes = []
    y = TOP
    for group, bars in groups.items():
        shapes.append(text(LEFT - 12, y + BAR - 4, group, "group"))
        for index, (name, value) in enumerate(bars.items()):
            width = value * scale
            style = "other" if index else "first"
            size = f'width="{width:.1f}" height="{BAR}" rx="2"'
            shapes.append(f'<rect x="{LEFT}" y="{y}" {size} class="{style}"/>')
            label = f"{value:.2f} {name}"
            if index == 0 and width > 90:  # there is room for it
                shapes.append(text(LEFT + width - 6, y + BAR - 4, label, "inside"))
            else:
                shapes.append(text(LEFT + width + 6, y + BAR - 4, label, "quiet"))
            y += BAR + GAP
        y += GROUP_GAP
    size = f'viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}"'
    one = LEFT + scale
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">
<title>{escape(title)}</title>
<style>{STYLE}</style>
{text(0, 20, title, "title")}
{text(0, 42, subtitle, "quiet")}
<line x1="{one:.0f}" x2="{one:.0f}" y1="{TOP - 8}" y2="{y - GROUP_GAP}"/>
{text(one, TOP - 14, unit, "quiet unit")}
{chr(10).join(shapes)}
</svg>
"""
