"""All figures in `results/` as one table, with the machine: python benchmarks/table.py [--write]

``--write`` puts it into `docs/performance.md`, between the two marks there.
"""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from saving import FOLDER

from edgekit.files import write_atomic

PAGE = Path(__file__).parent.parent / "docs/performance.md"
SCRIPTS = {
    **{
        name: f"{name}.py"
        for name in (
            "int8_accuracy", "conversion_time", "latency_overhead", "litert_benchmark", "best_engine", "engine_table",
            "same_answers", "graph_nms", "training_speed", "demo_pipeline", "startup",
        )
    },
    "damaged_files": "tests/fuzz/campaign.py",
    "kills": "tests/fuzz/kills.py",
}  # fmt: skip
"""What writes each file of results, in the order of the table."""
_MARKS = re.compile(r"(<!-- figures -->\n).*(<!-- end of figures -->)", re.DOTALL)


def table() -> str:
    """The table in Markdown, and after it the machines that the figures are of."""
    lines = ["| what | figure | limit | kept | script |", "|---|---|---|---|---|"]
    machines: dict[str, list[str]] = {}
    for name, script in SCRIPTS.items():
        path = FOLDER / f"{name}.json"
        if not path.is_file():
            lines.append(f"| not measured | | | **no** | `{script}` |")
            continue
        found: dict[str, Any] = json.loads(path.read_text())
        for figure in found["figures"]:
            cells = (figure["what"], figure["value"], figure["limit"], "yes" if figure["held"] else "**no**")
            escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
            lines.append(f"| {escaped} | `{script}` |")
        machines.setdefault(machine(found["host"]), []).append(f"`{script}`")
    notes = [textwrap.fill(f"{', '.join(names)}: {host}.", 130) for host, names in machines.items()]
    return "\n".join([*lines, "", "\n\n".join(notes), ""])


def machine(host: dict[str, Any]) -> str:
    """What a figure depends on of the machine, in a few words."""
    versions = ", ".join(f"{name} {version}" for name, version in host["packages"].items())
    features = " ".join(host["features"])
    return f"{host['cpu']} ({features}), {host['cores']} cores, {host['system']}, Python {host['python']}, {versions}"


def main() -> None:
    made = table()
    print(made)
    if "--write" in sys.argv[1:]:
        page, found = _MARKS.subn(lambda m: f"{m[1]}{made}{m[2]}", PAGE.read_text())
        if not found:
            sys.exit(f"{PAGE} has no place for the table: the two marks are gone.")
        write_atomic(PAGE, page.encode())


if __name__ == "__main__":
    main()
