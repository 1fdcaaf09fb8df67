"""``edgekit quickstart``."""

from pathlib import Path

import click

from edgekit.cli.common import EXISTING, emit, force_option, json_option, progress_bar, say, seed_option
from edgekit.cli.tables import print_table


@click.command("quickstart")
@click.option("-o", "--output", type=EXISTING, default=Path("quickstart"), show_default=True, metavar="DIR")
@seed_option
@force_option
@json_option
def command(output: Path, seed: int, force: bool, json_file: str | None) -> None:
    """Train, convert, evaluate and benchmark a small model, in minutes.

    A MobileNetV2 learns the digits that come with scikit-learn and goes through every recipe of both formats. DIR gets
    the model, the converted files, the results as JSON and report.html. Nothing is downloaded.
    """
    from edgekit.quickstart import quickstart, table, to_json

    with progress_bar() as progress:
        done = quickstart(output, seed=seed, force=force, progress=progress, announce=say)

    emit(to_json(done), json_file, lambda: print_table(*table(done)))
    for verdict in done.timing.verdicts:
        say(verdict)
    say(f"\nDone in {sum(done.seconds.values()):.0f} s. Open {done.page} in a browser. Next, with your own model:")
    say("  edgekit convert model.keras --int8 --calibration photos/ --preprocess tf")
    say("  edgekit evaluate model.keras model.int8.tflite --data labelled_photos/")
    say("  edgekit benchmark model.fp32.tflite model.int8.tflite")
