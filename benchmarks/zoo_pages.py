"""Write docs/zoo/ from what is measured: python benchmarks/zoo_pages.py [RUNS ...]

`results.json` there keeps the rows that it has; each RUNS, which `edgekit train --all` left, gives those of
RUNS/zoo.json in their place, with what `zoo_everywhere.py` found of the files, and the figures of every network by
default. The pages follow from it and from the registry; without RUNS they are written anew.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from zoo_everywhere import EVERYWHERE

from edgekit.codec import to_jsonable
from edgekit.files import write_atomic
from edgekit.models.build import build
from edgekit.models.complexity import complexity
from edgekit.models.everywhere_words import files_of
from edgekit.models.pages import entry_page, index_page, measured
from edgekit.models.prediction_layers import prediction_layers
from edgekit.models.registry import ZOO
from edgekit.train_all import RESULTS

FOLDER = Path(__file__).parent.parent / "docs/zoo"


def taken_from(runs: Path, host: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of ``runs`` by name, whole; ends where something is missing, or another machine measured them."""
    told = json.loads((runs / RESULTS).read_bytes())
    if (there := _machine(told["host"])) != (here := _machine(host)):
        sys.exit(f"{runs / RESULTS} was measured on {there}, the other rows on {here}; expected one machine.")
    everywhere = {file["sha256"]: file for file in json.loads((runs / EVERYWHERE).read_bytes())["results"]}
    rows = {row["name"]: row for row in told["results"]}
    for file in (file for row in rows.values() for file in files_of(row)):
        if file["sha256"] not in everywhere:
            sys.exit(f"{runs / EVERYWHERE} knows nothing of {file['artifact']}; run zoo_everywhere.py again.")
        file |= {key: everywhere[file["sha256"]][key] for key in ("custom_operators", "elsewhere")}
    for spec in ZOO:
        if spec.name in rows:
            rows[spec.name]["default"] = to_jsonable(complexity(build(spec)))
    return rows


def _machine(host: dict[str, Any]) -> str:
    return f"{host['cpu']}, {host['cores']} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    given = parser.parse_args()
    results = json.loads((FOLDER / "results.json").read_bytes())
    rows = {row["name"]: row for row in results["results"]}
    for runs in given.runs:
        rows |= taken_from(runs, results["host"])
    results["results"] = [rows[spec.name] for spec in ZOO if spec.name in rows]
    if given.runs:
        results["prediction_layers"] = prediction_layers()
    specs = measured(ZOO, results)
    write_atomic(FOLDER / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(FOLDER / "README.md", index_page(ZOO, results).encode())
    for spec in specs:
        write_atomic(FOLDER / f"{spec.name}.md", entry_page(spec, results).encode())
    print(f"Wrote {len(specs) + 2} files to {FOLDER}.")


if __name__ == "__main__":
    main()
