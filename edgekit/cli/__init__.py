"""The ``edgekit`` command: a lazy table of verbs, and the one place where errors become exit codes."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from edgekit.errors import MACHINE_ERRORS, EdgekitError, suggest
from edgekit.limits import least_bytes, require_address_space

# verb: (module, one-line help). A verb's module is imported when it is run or when its own help is shown.
VERBS: dict[str, tuple[str, str]] = {
    "zoo": ("edgekit.cli.zoo", "List, show and build the architectures."),
    "train": ("edgekit.cli.train", "Train an architecture of the zoo."),
    "convert": ("edgekit.cli.convert", "Quantize and export a model to TFLite and ONNX."),
    "inspect": ("edgekit.cli.inspect", "Show what is inside a model file."),
    "card": ("edgekit.cli.card", "Show or attach a model's card."),
    "predict": ("edgekit.cli.predict", "Run a model on images or arrays."),
    "evaluate": ("edgekit.cli.evaluate", "Measure the accuracy of model files on labelled data."),
    "compare": ("edgekit.cli.compare", "Compare the outputs of models on the same inputs."),
    "benchmark": ("edgekit.cli.benchmark", "Measure latency and memory of model files."),
    "sweep": ("edgekit.cli.sweep", "Measure models by recipes, engines, threads and devices."),
    "check": ("edgekit.cli.check", "Fail where a model got worse than its baseline."),
    "demo": ("edgekit.cli.demo", "Show a model at work on photos, clips or a camera."),
    "device": ("edgekit.cli.device", "Name, check and prepare the devices that models run on."),
    "bundle": ("edgekit.cli.bundle", "Pack models with proof that they work on a device."),
    "report": ("edgekit.cli.report", "Draw the results in a folder as one HTML page."),
    "doctor": ("edgekit.cli.doctor", "Check this installation and machine."),
    "quickstart": ("edgekit.cli.quickstart", "Do all of it once on embedded data, in minutes."),
}


CLEANUP_S = 5.0
"""For so long after a first signal no other is heard, so that what removes unfinished files is not broken off."""


class LazyGroup(click.Group):
    """A group whose verbs are imported on use, so that ``--help`` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(VERBS[cmd_name][0])
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            raise click.UsageError(f"There is no command {args[0]!r}; {suggest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="edgekit-ml", prog_name="edgekit")
def root() -> None:
    """Take a network from trained to proven on the device.

    Train the classic architectures, convert and quantize them to TFLite and ONNX, and prove accuracy, latency and size
    in the real runtime. Start with: edgekit quickstart
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a check said no, 2 wrong usage or bad input, 130 interrupted."""
    interrupt = _Interrupt()
    for kind in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(kind) is not signal.SIG_IGN:  # as a shell sets SIGINT for what runs in the background
            signal.signal(kind, interrupt)
    code = _run(list(sys.argv[1:] if args is None else args))
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)  # all is done; a traceback from the interpreter's end would say otherwise
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        require_address_space(least_bytes(), "edgekit")
        code = root.main(args=arguments, prog_name="edgekit", standalone_mode=False, obj=tuple(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
    except EdgekitError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        return _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; nothing unfinished was left behind.", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `edgekit inspect x | head`
        _drop_output()
        return 0
    except MemoryError as error:
        return _fail(f"Not enough memory{f' ({error})' if str(error) else ''}; expected smaller inputs or models.", 2)
    except OSError as error:
        if error.errno not in MACHINE_ERRORS:
            raise
        _drop_output()
        return _fail(f"{error.filename or 'A file'} cannot be used: {error.strerror}; mend that and try again.", 2)
    return code if isinstance(code, int) else 0


def _drop_output() -> None:
    """Let what is still to be written to stdout go nowhere, so that the interpreter's end does not try once more."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    click.echo(f"edgekit: {message}", err=True)
    return code


class _Interrupt:
    """A signal handler that raises KeyboardInterrupt, but not again before `CLEANUP_S` are over."""

    def __init__(self) -> None:
        self._last_s = -CLEANUP_S

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= CLEANUP_S:
            self._last_s = now_s
            raise KeyboardInterrupt
