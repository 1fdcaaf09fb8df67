"""From a zoo entry to a Keras model, and to a `.keras` file with its card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, open_artifact
from edgekit.card import BACKGROUND, Metric, ModelCard, Provenance, TensorSpec
from edgekit.companion import Companion
from edgekit.errors import InputError
from edgekit.files import Staging, refuse_existing, sha256_file
from edgekit.formats.keras import write_card
from edgekit.models import passes
from edgekit.models.backbones import build_on_backbone
from edgekit.models.construct import build
from edgekit.models.framework import tool_versions
from edgekit.models.sequence_parts import NEEDS
from edgekit.models.spec import ModelSpec, Value
from edgekit.models.stages import second_of, second_path, split, split_card
from edgekit.models.weights import ImportedWeights, copy_weights, import_weights
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.tasks.labels import read_labels
from edgekit.two_files import linked

WITHOUT_DATA = "it takes numbers: a vocabulary, the columns of a series, or what is rated, come with training"
"""The note of a model of sequences or ratings that was built, not trained."""

__all__ = ["build", "build_file", "build_with_weights", "card_for", "save"]


def build_with_weights(
    spec: ModelSpec,
    weights: Path,
    *,
    seed: int = 0,
    classes: int | None = None,
    labels: tuple[str, ...] | None = None,
    defaults: Mapping[str, Value] | None = None,
    arguments: Mapping[str, Value],
) -> tuple[Any, ImportedWeights, dict[str, Value]]:
    """The model of ``spec`` holding the values of the file ``weights``, what that file says, and all arguments.

    What the file implies (width, classes, padding, epsilon) wins over ``defaults``; where ``arguments`` contradict it,
    that is an `InputError`. With ``classes`` or ``labels`` other than the file's, the head starts anew from ``seed``. A
    detector takes the weights of its backbone too.
    """
    if spec.backbone and not _holds(weights, spec):
        fixed = {**arguments, **({} if classes is None else {"classes": classes})}
        return build_on_backbone(spec, weights, seed=seed, fixed=fixed, defaults=defaults or {})
    imported = import_weights(spec, weights, arguments)
    resolved = spec.resolved({**(defaults or {}), **imported.arguments, **arguments})
    source = build(spec, seed=seed, **resolved)
    imported.apply(source)
    others = labels is not None and imported.labels is not None and labels != imported.labels
    if classes is None or (classes == resolved["classes"] and not others):
        return source, imported, resolved
    resolved["classes"] = classes
    model = build(spec, seed=seed, **resolved)
    copy_weights(source, model, anew=spec.head)
    return model, imported, resolved


def _holds(weights: Path, spec: ModelSpec) -> bool:
    """Whether the file ``weights`` may be the whole model of ``spec``, not its backbone alone."""
    if weights.suffix != ".keras" or not weights.is_file():
        return weights.name.endswith(".weights.h5")
    return open_artifact(weights).card.provenance.architecture == spec.name


def card_for(
    model: Any,
    spec: ModelSpec,
    *,
    arguments: Mapping[str, Value],
    preprocessing: Preprocessing | None = None,
    labels: tuple[str, ...] | None = None,
    provenance: Provenance | None = None,
    metrics: tuple[Metric, ...] = (),
) -> ModelCard:
    """The card of a zoo model; ``provenance`` is completed with architecture, arguments and tools."""
    known = provenance if provenance is not None else Provenance()
    return ModelCard(
        name=spec.name,
        task=spec.task,
        inputs=tuple(TensorSpec(name=t.name, shape=tuple(t.shape), dtype=str(t.dtype)) for t in model.inputs),
        outputs=tuple(
            TensorSpec(name=name, shape=tuple(t.shape), dtype=str(t.dtype))
            for name, t in zip(model.output_names, model.outputs, strict=True)
        ),
        preprocessing=preprocessing,
        labels=labels,
        detection=spec.detection(arguments),
        generator=spec.generator(arguments),
        verification=spec.verification(arguments),
        signatures=spec.signatures,
        keep_float=spec.keep_float,
        independent_scores=spec.independent_scores,
        provenance=replace(known, architecture=spec.name, arguments=dict(arguments), tools=tool_versions()),
        metrics=metrics,
    )


def save(
    model: Any, card: ModelCard, path: Path, *, force: bool = False, sampled: passes.Sampled | None = None
) -> Artifact:
    """Write ``model`` with ``card`` to the `.keras` file ``path``: whole or not at all.

    The second network of a model of two goes to a file beside it, which the first one's card names, and so does that of
    a Bayesian classifier, which is ``sampled``.
    """
    _check_target(path, force=force)
    names = [path.name]
    with Staging(path.parent) as stage:
        if (second := second_of(card)) is not None:
            (model, last), (card, of_last) = split(model, second), split_card(card, second)
            beside = second_path(stage.path / path.name, second)
            _write(last, of_last, beside)
            card = linked(card, Companion(name=beside.name, sha256=sha256_file(beside)))
            names.insert(0, beside.name)
        if sampled is not None:
            card, of_pass = passes.cards(card, sampled)
            beside = passes.sample_path(stage.path / path.name)
            _write(sampled.model, of_pass, beside)
            names.insert(0, beside.name)
        _write(model, card, stage.path / path.name)
        refuse_existing((path.with_name(name) for name in names), force=force)
        for name in names:  # one by one, since a training has its folder for itself; the file that names the other last
            stage.publish(name)
    return open_artifact(path)


def _write(model: Any, card: ModelCard, path: Path) -> None:
    model.save(path)
    write_card(path, card)


def _check_target(path: Path, *, force: bool) -> None:
    if path.suffix != ".keras":
        raise InputError(f"A model is written as a .keras file; got {path}: write -o {path.with_suffix('.keras')}.")
    refuse_existing([path], force=force)


def build_file(
    spec: ModelSpec,
    path: Path,
    *,
    overrides: Mapping[str, Value],
    resize: Resize | None = None,
    weights: Path | None = None,
    labels_file: Path | None = None,
    seed: int = 0,
    force: bool = False,
) -> Artifact:
    """Build ``spec``, with the values of ``weights`` where given, and `save` it; checks come before the work.

    ``resize`` replaces the rule of the source, or of the weights.
    """
    _check_target(path, force=force)
    arguments = spec.resolved(overrides)
    labels = None if labels_file is None else read_labels(labels_file)
    if weights is None:
        model = build(spec, seed=seed, **arguments)
        notes = (f"weights not trained, drawn from seed {seed}", *([WITHOUT_DATA] if spec.task in NEEDS else []))
        provenance = Provenance(notes=notes)
        preprocessing = spec.preprocessing(arguments, resize=resize)
    else:
        model, imported, arguments = build_with_weights(spec, weights, seed=seed, arguments=overrides)
        provenance = imported.provenance
        preprocessing = spec.preprocessing(
            arguments, affine=imported.preprocess, like=imported.preprocessing, resize=resize
        )
        if labels is not None and "classes" in arguments:
            labels = _with_background(labels, int(arguments["classes"]), imported)
    if labels is not None and "classes" not in arguments:
        raise InputError(f"{spec.name} has no classes that labels could name; leave --labels out.")
    if labels is not None and len(labels) != arguments["classes"]:
        raise InputError(
            f"{len(labels)} labels were given for {arguments['classes']} classes; give one label for each class."
        )
    card = card_for(model, spec, arguments=arguments, preprocessing=preprocessing, labels=labels, provenance=provenance)
    sampled = passes.untrained(spec, arguments, model) if spec.sampler else None
    return save(model, card, path, force=force, sampled=sampled)


def _with_background(labels: tuple[str, ...], classes: int, imported: ImportedWeights) -> tuple[str, ...]:
    """Labels of the classes alone, completed with the background class that some weights have as number 0."""
    if imported.background and len(labels) == classes - 1:
        return (BACKGROUND, *labels)
    return labels
