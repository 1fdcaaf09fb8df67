"""The lines of ``edgekit check`` as tests: ``pytest --edgekit``.

pytest loads this module wherever edgekit is installed, so it imports nothing of edgekit before it is asked to.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from edgekit.check.judge import Line

_CONFIG = "edgekit.toml"
_FOUND = pytest.StashKey[set[Path]]()
_NOTES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--edgekit``."""
    group = parser.getgroup("edgekit", "accuracy regression tests of models")
    group.addoption("--edgekit", action="store_true", help=f"Also run the lines of every {_CONFIG} as tests.")
    group.addoption(
        "--edgekit-device", default="local", metavar="URI", help="Where models run, such as ssh://pi. [local]"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the configuration of the project beside the paths that were asked for."""
    if not config.getoption("--edgekit"):
        return
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "dist", "no") != "no":
        raise pytest.UsageError(
            "--edgekit measures latencies, which tests at the same time would spoil; leave out -n and --dist."
        )
    config.stash[_FOUND], config.stash[_NOTES] = set(), []
    own = config.rootpath / _CONFIG
    asked = [(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args]
    if own.is_file() and not any(own.resolve().is_relative_to(path) for path in asked):
        config.args.append(str(own))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "CheckFile | None":
    """Take the files of the configuration's name."""
    if not parent.config.getoption("--edgekit") or file_path.name != _CONFIG:
        return None
    collected: CheckFile = CheckFile.from_parent(parent, path=file_path)
    return collected


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to pass because there was nothing to check."""
    if session.config.getoption("--edgekit") and not session.config.stash[_FOUND]:
        raise pytest.UsageError(
            f"There is no {_CONFIG} in {session.config.rootpath} or the paths given; make one with: "
            "edgekit check init FILE... --data DATA"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what a user should know of the measurements, such as that the machine was busy."""
    for note in config.stash.get(_NOTES, []):
        terminalreporter.write_line(note)


class CheckFile(pytest.File):
    """One configuration, whose models are measured once, when its first line is run."""

    _outcome: "Mapping[tuple[str, str], Line] | Exception | None" = None

    def collect(self) -> "Iterator[CheckLine]":
        """The lines, which are known before anything is measured."""
        from edgekit.check.judge import planned
        from edgekit.check.run import opened
        from edgekit.errors import EdgekitError

        self.config.stash[_FOUND].add(self.path)
        try:
            lines = planned(*opened(self.path))
        except EdgekitError as error:
            raise self.CollectError(str(error)) from None
        for file, name in lines:
            yield CheckLine.from_parent(self, name=f"{name}[{file}]", key=(file, name))

    def lines(self) -> "Mapping[tuple[str, str], Line]":
        """What was measured, by file and name; what went wrong with it goes wrong for every line."""
        from edgekit.check.run import check
        from edgekit.errors import CheckFailedError, EdgekitError

        if self._outcome is None:
            self._outcome = CheckFailedError(f"{self.path} was not measured; the first line that failed shows why.")
            try:
                report = check(self.path, device=self.config.getoption("--edgekit-device"))
                self._outcome = {(line.file, line.name): line for line in report.lines}
                self.config.stash[_NOTES] += report.notes
            except EdgekitError as error:
                self._outcome = error
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class CheckLine(pytest.Item):
    """A line as a test."""

    def __init__(self, *, key: tuple[str, str], **given: Any) -> None:
        super().__init__(**given)
        self._key = key

    def runtest(self) -> None:
        """Fail where the line regressed."""
        from edgekit.errors import CheckFailedError

        assert isinstance(self.parent, CheckFile)  # noqa: S101 - its only maker
        line = self.parent.lines()[self._key]
        if line.regressed:
            raise CheckFailedError(line.sentence())
        self.add_report_section("call", "edgekit", line.sentence())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentence alone, without a traceback."""
        from edgekit.errors import EdgekitError

        if isinstance(excinfo.value, EdgekitError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the test is said to be, and its name."""
        return self.path, None, self.name
