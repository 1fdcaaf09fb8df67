"""How the page looks, light and dark, from a phone's width to a wide screen."""

CSS = """
:root { color-scheme: light dark; --bg: #ffffff; --fg: #1b2330; --muted: #566173; --line: #dfe3ea; --grid: #eceff4;
  --panel: #f6f8fb; --tflite: #1d63c8; --onnx: #b9500a; --other: #566173; }
@media (prefers-color-scheme: dark) { :root { --bg: #12161d; --fg: #e4e9f1; --muted: #9aa7ba; --line: #313a48;
  --grid: #222a35; --panel: #1a202a; --tflite: #7db2ff; --onnx: #ffa45c; --other: #9aa7ba; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica,
  Arial, "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
header p, section > p, .legend { color: var(--muted); margin: .3rem 0; font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 16px; margin-top: 20px; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.card h2 { margin: 0; font-size: .85rem; font-weight: 500; color: var(--muted); }
.card p { margin: .2rem 0 0; font-size: .9rem; }
.card .big { font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 24px;
  margin-top: 24px; }
figure { margin: 0; min-width: 0; overflow-x: auto; }
figcaption { font-weight: 600; }
figure svg { display: block; width: 100%; min-width: 430px; height: auto; }
.sheet { width: 100%; max-width: 840px; image-rendering: pixelated; }
svg text { fill: var(--fg); font-size: 13px; }
svg .tick, svg .name { fill: var(--muted); font-size: 12px; }
svg .label { paint-order: stroke; stroke: var(--bg); stroke-width: 3px; stroke-linejoin: round; }
svg .label:is(.tflite, .first) { fill: var(--tflite); } svg .label:is(.onnx, .second) { fill: var(--onnx); }
svg .grid { stroke: var(--grid); }
svg .axis { stroke: var(--muted); fill: none; }
svg .leader { stroke: var(--line); }
.mark { fill: var(--other); stroke: var(--bg); stroke-width: 1.5px; fill-opacity: .85; }
.bar { stroke: var(--other); stroke-width: 1.5px; opacity: .35; fill: none; }
.mark:is(.tflite, .first) { fill: var(--tflite); } .bar.tflite { stroke: var(--tflite); }
.mark:is(.onnx, .second) { fill: var(--onnx); } .bar.onnx { stroke: var(--onnx); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; }
.legend span { display: inline-flex; align-items: center; gap: 5px; }
.key { width: 16px; height: 16px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: 6px 12px 6px 0; text-align: right; border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; }
tr > :first-child, tr > :nth-child(2), tr > :last-child { text-align: left; }
tbody th { font-weight: 600; }
td:last-child { white-space: normal; min-width: 9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; font-size: .88rem; margin: 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; overflow-x: auto;
  font-size: .85rem; }
ul { padding-left: 1.2rem; margin: 0; font-size: .92rem; }
@media print { .scroll, figure { overflow: visible; } }
"""
