"""From a trained model to verified TFLite and ONNX files: load, lower, prepare, quantize, verify, publish."""

import contextlib
from collections.abc import Collection
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgekit.artifact import Format
from edgekit.converters import calibration as calibrating
from edgekit.converters import finish, manifest
from edgekit.converters.chains import Making, make_all, start_looking, start_lowering
from edgekit.converters.lower import load
from edgekit.converters.passes import convert_both, second_network
from edgekit.converters.plan import Plan, plan
from edgekit.converters.report import ConversionReport
from edgekit.converters.request import Request
from edgekit.converters.rnn_forms import choose_all
from edgekit.converters.source import Source, open_source
from edgekit.converters.stages import convert_stages, has_stages
from edgekit.converters.steps import Steps
from edgekit.converters.streaming import asks_for_steps, convert_steps
from edgekit.converters.workshop import Workshop
from edgekit.data.base import Dataset
from edgekit.errors import DataError, InputError, require_installed
from edgekit.feeding import resolve_preprocessing
from edgekit.files import Staging, refuse_existing, scratch_folder
from edgekit.recipe import InterfaceType, Recipe
from edgekit.workers import Progress, silent

FEW_ITEMS = 32
"""Fewer calibration items are learned by heart: what files do on them says little of others."""
_TOOLS = ("edgekit-ml", "onnx", "onnxruntime", "ai-edge-litert", "litert-quantizer")


def convert(request: Request, *, progress: Progress = silent) -> ConversionReport:
    """The report on the files written beside the source or into ``request.output_dir``: all of them, or none.

    `InputError` and `DataError` for what the user can mend, `ConversionError` for a step that failed,
    `CheckFailedError` when a finished file is outside the tolerance of its recipe.
    """
    earlier: manifest.Manifest | None = None
    if request.source.name.endswith(manifest.SUFFIX):
        earlier = manifest.load_manifest(request.source)
        request = _repeated(request, earlier)
    if len({(recipe.batch, recipe.seed) for recipe in request.recipes}) > 1:
        raise InputError("All recipes of one conversion share batch and seed, as they share the work; convert twice.")
    source = open_source(request.source)
    if earlier is not None and earlier.source_sha256 != source.sha256:
        raise InputError(
            f"{source.path} has changed since the manifest was written; convert it anew without the manifest."
        )

    def convert_one(request: Request, source: Source, *, asked: Request) -> ConversionReport:
        request = _with_float_layers(request, source)
        return _convert(request, source, asked, earlier if asked.source == source_path else None, progress)

    source_path = request.source
    if asks_for_steps(request, source):
        return convert_steps(request, source, convert_one, progress)
    if (second := second_network(request.source, source)) is not None:
        return convert_both(request, source, second, convert_one)
    if has_stages(source.card):
        return convert_stages(request, source, convert_one, progress)
    return convert_one(request, source, asked=request)


def _with_float_layers(request: Request, source: Source) -> Request:
    """``request``, whose recipes keep in float what the card of ``source`` says, and with it inputs and outputs."""
    stated = source.card.keep_float if source.card is not None else ()
    recipes = [
        replace(
            recipe,
            keep_float=tuple(dict.fromkeys((*stated, *recipe.keep_float))),
            interface=InterfaceType.FLOAT,
        )
        for recipe in request.recipes
    ]
    return replace(request, recipes=tuple(recipes)) if stated else request


def _convert(
    request: Request, source: Source, asked: Request, earlier: manifest.Manifest | None, progress: Progress
) -> ConversionReport:
    todo = plan(source, request.recipes, request.formats)
    _require_tools(source, {job.format for job in todo.jobs})
    target = request.output_dir or source.home
    refuse_existing((target / name for name in todo.names), force=request.force)
    data = calibrating.find_data(
        request.calibration if request.calibration is not None else calibrating.noise_for(source.card, request.recipes),
        source.card,
        required=any(job.recipe.needs_calibration for job in todo.jobs),
        data_dir=request.data_dir,
    )
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(Staging(target))
        folder = Path(stack.enter_context(scratch_folder()))
        shop = stack.enter_context(Workshop(folder, progress))
        report, record = _run(request, source, asked, todo, data, target, stage.path, shop, progress)
        if earlier is not None and earlier.calibration != report.calibration:
            raise DataError(
                "The calibration data has changed since the manifest was written; convert anew without the manifest."
            )
        (stage.path / todo.manifest_name).write_bytes(manifest.dump_manifest(record))
        made = (row.path.name for row in report.artifacts)
        stage.publish(*made, todo.manifest_name, force=request.force)  # another run may have been faster
    return report


def _require_tools(source: Source, formats: set[Format]) -> None:
    """`MissingExtraError` before any work, and in words that bring all that a conversion needs."""
    modules = [*(("tensorflow", "keras") if source.needs_tensorflow else ())]
    if Format.TFLITE in formats:
        modules += ["ai_edge_litert", "litert_quantizer"]
    if Format.ONNX in formats:
        modules += ["onnx", "onnxruntime", *(("tf2onnx",) if source.needs_tensorflow else ())]
    require_installed(modules, extra="convert")


def _run(
    request: Request,
    source: Source,
    asked: Request,
    todo: Plan,
    data: Dataset | None,
    target: Path,
    staged: Path,
    shop: Workshop,
    progress: Progress,
) -> tuple[ConversionReport, manifest.Manifest]:
    steps = Steps()
    recipe = request.recipes[0]
    shop.start({job.format for job in todo.jobs}, tensorflow=source.needs_tensorflow)
    loaded = steps.run("load", load, source, shop)
    base = finish.base_card(source, loaded, preprocessing=None, labels=request.labels)
    base = replace(base, preprocessing=resolve_preprocessing(base, request.preprocess))
    training = source.card.provenance.training if source.card is not None else None
    todo, chosen = steps.run("choose forms", choose_all, source, todo, loaded.recurrent, request.formats)
    lowering = start_lowering(source, todo, chosen, recipe.batch, steps, shop)
    if data is not None:
        items = steps.run(
            "calibrate",
            calibrating.write_calibration,
            data,
            loaded.inputs,
            base.preprocessing,
            count=max(r.calibration_samples for r in request.recipes),
            seed=recipe.seed,
            folder=shop.folder / "samples",
            progress=progress,
            learned=training.items if training is not None else (),
            card=base,
        )
    else:
        items = calibrating.synthetic_calibration(
            loaded.inputs,
            base.preprocessing,
            seed=recipe.seed,
            folder=shop.folder / "samples",
            padding=loaded.padding,
            uncertainty=base.uncertainty,
        )
    looks = start_looking(source, todo, items.samples, steps, shop)
    tools = {**_versions(), **loaded.tools}
    making = Making(
        source=source,
        todo=todo,
        base=base,
        items=items,
        tools=tools,
        staged=staged,
        target=target,
        companions=request.companions,
        chosen=chosen,
    )
    rows = make_all(making, lowering, looks, steps, shop)
    notes = (*todo.notes, _compared(items, {row.parity.count for row in rows}, data), *_few(items, request.recipes))
    report = ConversionReport(
        source=source.path,
        source_sha256=source.sha256,
        artifacts=tuple(rows),
        manifest=target / todo.manifest_name,
        calibration=items.ref,
        notes=notes,
        step_seconds=steps.seconds,
    )
    return report, manifest.Manifest(
        schema_version=manifest.MANIFEST_SCHEMA,
        settings=_settings(asked),
        source_sha256=source.sha256,
        calibration=items.ref,
        tools=tools,
        artifacts=tuple(manifest.made(row) for row in rows),
        notes=notes,
    )


def _compared(items: calibrating.Calibration, counts: Collection[int], data: Dataset | None) -> str:
    slow = "" if len(counts) == 1 else f", those without fast kernels on {min(counts)}"
    if data is None or items.ref is None:
        real = "No real data was at hand: files were compared with the source on"
        return f"{real} {max(counts)} synthetic inputs{slow}."
    whole = f"{items.ref.count} calibration items of {items.ref.name}"
    return f"Files were compared with the source on {max(counts)} of the {whole}{slow}."


def _few(items: calibrating.Calibration, recipes: Collection[Recipe]) -> tuple[str, ...]:
    """What is to be said of few calibration items."""
    count = items.ref.count if items.ref is not None else FEW_ITEMS
    if count >= FEW_ITEMS or not any(recipe.needs_calibration for recipe in recipes):
        return ()
    return (f"{count} calibration items say little of how files do on others: take {FEW_ITEMS} or more.",)


def _repeated(request: Request, earlier: manifest.Manifest) -> Request:
    settings = earlier.settings
    return Request(
        source=Path(settings.source),
        recipes=settings.recipes,
        formats=settings.formats,
        calibration=settings.calibration,
        data_dir=Path(settings.data_dir) if settings.data_dir is not None else None,
        preprocess=settings.preprocess,
        labels=settings.labels,
        output_dir=request.output_dir or request.source.parent,
        force=request.force,
    )


def _settings(request: Request) -> manifest.Settings:
    wanted = request.calibration
    return manifest.Settings(
        source=str(request.source.resolve()),
        recipes=request.recipes,
        formats=request.formats,
        calibration=wanted.name if isinstance(wanted, Dataset) else _absolute(wanted),
        data_dir=str(request.data_dir.resolve()) if request.data_dir is not None else None,
        preprocess=_absolute(request.preprocess),
        labels=request.labels,
    )


def _absolute(text: str | None) -> str | None:
    """``text`` as an absolute path where it is one that exists, else as it is: the name of data or of a preset."""
    return str(Path(text).resolve()) if text is not None and Path(text).exists() else text


def _versions() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        with contextlib.suppress(PackageNotFoundError):  # an optional engine that this conversion does not need
            found[name] = version(name)
    return found
