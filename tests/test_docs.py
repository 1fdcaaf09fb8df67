"""The documentation is true: its commands run, its links lead somewhere, and every option has its words."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgekit.cli import VERBS

ROOT = Path(__file__).parent.parent
PAGES = tuple(
    sorted(
        path
        for path in {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")}
        if ".venv" not in path.parts
    )
)
"""Every page, in the order of its path."""

_BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<kind>\w*)\n(?P<body>.*?)```", re.DOTALL)


RUN_TOGETHER = (("README.md",), ("docs/getting-started.md", "docs/cli.md"))
"""Pages whose commands are run one after the other in one empty folder; on the others every block has a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Commands that a page shows; ``reason`` says why they cannot be run by a test."""

    page: Path
    body: str
    reason: str | None


def shell_blocks(page: Path) -> list[Block]:
    """The blocks of ``page`` that are marked as ``sh``, in order."""
    return [
        Block(page=page, body=match["body"], reason=match["reason"])
        for match in _BLOCK.finditer(page.read_text())
        if match["kind"] == "sh"
    ]


def names(pages: tuple[str, ...]) -> str:
    return " ".join(pages)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pages", RUN_TOGETHER, ids=names)
def test_every_command_runs(pages: tuple[str, ...], tmp_path: Path) -> None:
    script = "\n".join(block.body for page in pages for block in shell_blocks(ROOT / page) if block.reason is None)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_a_command_that_is_not_run_says_why() -> None:
    together = {ROOT / page for pages in RUN_TOGETHER for page in pages}
    silent = [
        f"{page.relative_to(ROOT)}: {block.body.splitlines()[0]}"
        for page in PAGES
        if page not in together
        for block in shell_blocks(page)
        if block.reason is None
    ]
    assert silent == []


def test_every_block_is_seen() -> None:
    """No block hides from the tests behind another name for a shell."""
    for page in PAGES:
        kinds = re.findall(r"^```(\S+)", page.read_text(), re.MULTILINE)
        assert set(kinds) <= {"sh", "python", "json"}, page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)?(#[^)]*)?\)", page.read_text()):
        file, anchor = target
        if file.startswith(("http://", "https://")):
            continue
        destination = (page.parent / file).resolve() if file else page
        assert destination.exists(), f"{page.name} links to {file}"
        if anchor:
            assert anchor[1:] in anchors(destination), f"{page.name} links to {file}{anchor}"


def anchors(page: Path) -> set[str]:
    """The names that a page's headings get: lower case, spaces to hyphens, other signs dropped."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sections() -> dict[str, str]:
    """The text of docs/cli.md by verb."""
    parts = re.split(r"^## (\S+)\n", (ROOT / "docs/cli.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_verb_has_a_section_with_an_example() -> None:
    assert [verb for verb in VERBS if verb not in sections()] == []
    for verb in VERBS:
        assert re.search(rf"```sh\n(.*\n)*edgekit {verb}\b", sections()[verb]), verb


@pytest.mark.parametrize(
    "verb",
    [v for v in VERBS if v not in ("zoo", "card", "device")]
    + ["zoo show", "zoo build", "card attach", "check init", "device add", "device doctor", "device provision"],
)
def test_every_option_is_explained(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", *verb.split(), "--help"], capture_output=True, text=True, check=True
    )
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+|-\w)", done.stdout, re.MULTILINE)
    page = (ROOT / "docs/cli.md").read_text()
    general = page[: page.index("\n## ")]
    assert options
    assert [o for o in options if f"`{o}" not in general and f"`{o}" not in sections()[verb.split()[0]]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lines_are_not_too_long(page: Path) -> None:
    prose = [line for line in page.read_text().splitlines() if not line.startswith("|") and "](" not in line]
    assert [line for line in prose if len(line) > 150] == []
