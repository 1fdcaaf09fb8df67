"""Write docs/zoo/ from what `edgekit train --all` left: python benchmarks/zoo_pages.py RUNS

`results.json` there gets the rows of RUNS/zoo.json, what `zoo_everywhere.py` found of the files, and the figures of
every network by default; the pages follow from it and from the registry.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from zoo_everywhere import EVERYWHERE

from edgekit.codec import to_jsonable
from edgekit.files import write_atomic
from edgekit.models.build import build
from edgekit.models.complexity import complexity
from edgekit.models.pages import entry_page, index_page
from edgekit.models.prediction_layers import prediction_layers
from edgekit.models.registry import TOLD_TOGETHER, ZOO
from edgekit.train_all import RESULTS

TOLD = tuple(spec for spec in ZOO if spec.task in TOLD_TOGETHER)
FOLDER = Path(__file__).parent.parent / "docs/zoo"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    given = parser.parse_args()
    results = json.loads((given.runs / RESULTS).read_bytes())
    rows = {row["name"]: row for row in results["results"]}
    missing = [spec.name for spec in TOLD if spec.name not in rows]
    if missing:
        sys.exit(f"{given.runs / RESULTS} has no figures of {', '.join(missing)}; run edgekit train --all again.")
    everywhere = {file["sha256"]: file for file in json.loads((given.runs / EVERYWHERE).read_bytes())["results"]}
    for file in (file for row in rows.values() for file in row["files"]):
        if file["sha256"] not in everywhere:
            sys.exit(f"{given.runs / EVERYWHERE} knows nothing of {file['artifact']}; run zoo_everywhere.py again.")
        file |= {key: everywhere[file["sha256"]][key] for key in ("custom_operators", "elsewhere")}
    for spec in TOLD:
        rows[spec.name]["default"] = to_jsonable(complexity(build(spec)))
    FOLDER.mkdir(exist_ok=True)
    results["prediction_layers"] = prediction_layers()
    results["results"] = [rows[spec.name] for spec in TOLD]
    write_atomic(FOLDER / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(FOLDER / "README.md", index_page(TOLD, results).encode())
    for spec in TOLD:
        write_atomic(FOLDER / f"{spec.name}.md", entry_page(spec, results).encode())
    print(f"Wrote {len(TOLD) + 2} files to {FOLDER}.")


if __name__ == "__main__":
    main()
