"""Training of a zoo model: resumable, reproducible, ending in a `.keras` file with its measured accuracy."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgekit.card import DataRef, Provenance
from edgekit.claims import sole_use
from edgekit.data import data_ref
from edgekit.errors import EdgekitError, InputError
from edgekit.files import refuse_existing
from edgekit.limits import TRAINING_BYTES, require_address_space
from edgekit.models.anomaly_material import anomaly_material
from edgekit.models.answer_lesson import answer_material
from edgekit.models.build import build, build_with_weights, card_for, save
from edgekit.models.checkpoint import Checkpoint, EpochRecord, assign, values
from edgekit.models.cluster import Together, read_cluster, start, working_together
from edgekit.models.fitting import EpochReport, fit
from edgekit.models.forecast_lesson import forecast_material
from edgekit.models.generator_judging import require_judged
from edgekit.models.generator_material import generator_material
from edgekit.models.image_material import image_material
from edgekit.models.lesson import Material, Terms, nothing
from edgekit.models.opinion_lesson import opinion_material
from edgekit.models.ratings_lesson import ratings_material
from edgekit.models.run_folder import CHECKPOINT, MODEL, RunSettings, open_run, refuse_other_run, write_history
from edgekit.models.sample_sheets import require_folder
from edgekit.models.spec import (
    DEFAULT_PRESET,
    GENERATION,
    TRANSFER_PRESET,
    VERIFICATION,
    ModelSpec,
    TrainingPreset,
    Value,
)
from edgekit.models.verification_lesson import verification_material
from edgekit.models.weights import ImportedWeights
from edgekit.models.writing_lesson import writing_material
from edgekit.workers import Progress, silent

MATERIALS: Mapping[str, Callable[[ModelSpec, str, Path | None], Material]] = {
    "classification": image_material,
    "detection": image_material,
    "text-generation": writing_material,
    "text-classification": opinion_material,
    "forecasting": forecast_material,
    "sequence-to-sequence": answer_material,
    "image-generation": generator_material,
    "anomaly-detection": anomaly_material,
    "recommendation": ratings_material,
    VERIFICATION: verification_material,
}
"""For each task of the zoo how the data set of a name, maybe in a folder, is read. The defaults of the entry are those
of the training.
"""


class TrainingInterruptedError(EdgekitError):
    """The user stopped a training that can go on later."""

    exit_code = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What to train and how. A value of ``None`` is the preset's; ``arguments`` are the builder's.

    The ``judge`` of a generator adds figures to the test, and is no setting: a run with it equals one without.
    """

    spec: ModelSpec
    preset: str | None = None
    data: str | None = None
    data_dir: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    weights: Path | None = None
    judge: Path | None = None
    arguments: Mapping[str, Value] = field(default_factory=dict)

    @property
    def preset_name(self) -> str:
        """The preset asked for; else for a start from weights the one for that, where there is one."""
        if self.preset is not None:
            return self.preset
        return TRANSFER_PRESET if self.weights is not None and TRANSFER_PRESET in self.spec.presets else DEFAULT_PRESET

    def settings(self) -> TrainingPreset:
        """The preset with this request's changes; `InputError` when no data set is named."""
        base = self.spec.preset(self.preset_name)
        if base.frozen_epochs and self.weights is None:
            raise InputError(
                f"The preset {self.preset_name} starts from trained weights; give them with --weights, or leave it out."
            )
        data = self.data or base.data
        if data is None:
            raise InputError(
                f"The preset {self.preset_name} of {self.spec.name} has no data set of its own; name one with --data."
            )
        if self.data is not None and self.data != base.data:
            # The preset's way of resizing was chosen for its data; a user's own may have few images of some classes.
            base = replace(base, resize=None, balanced=True)
        return replace(
            base,
            data=data,
            epochs=base.epochs if self.epochs is None else self.epochs,
            batch_size=base.batch_size if self.batch_size is None else self.batch_size,
        )


def ignore_epoch(_record: EpochRecord, _epochs: int) -> None:
    """The `EpochReport` that says nothing."""


def train(
    request: TrainRequest,
    run_dir: Path,
    *,
    tensorboard: bool = False,
    force: bool = False,
    progress: Progress = silent,
    on_epoch: EpochReport = ignore_epoch,
    tell: Callable[[str], None] = nothing,
) -> Path:
    """Train, test and write ``run_dir``: ``model.keras`` with its card, ``history.json``, ``settings.json``.

    Second networks are in files beside it. The path of the model. A run that was stopped goes on after its last
    finished epoch when the same request comes again, and one that is finished stays as it is; other settings in the
    same folder are an `InputError` unless ``force``, which starts anew. The validation images are a seeded, stratified
    share of the training part. The test metric is measured once, at the end, on the evaluation part, or where the data
    has none, on a fifth of every class that training never saw. ``tell`` gets sentences on what looks wrong in the
    data.
    """
    require_address_space(TRAINING_BYTES, "training")
    spec, preset = request.spec, request.settings()
    if request.judge is not None and spec.task != GENERATION:
        raise InputError(
            f"--judge looks at the pictures of a generator; {spec.name} is for {spec.task}: leave --judge out."
        )
    cluster = read_cluster()
    if preset.batch_size < 2 * len(cluster.workers):
        raise InputError(
            f"A batch of {preset.batch_size} images is too small for {len(cluster.workers)} workers; give --batch-size "
            f"{2 * len(cluster.workers)} or more."
        )
    wanted = spec.set_to({**preset.arguments, **request.arguments})
    material = MATERIALS[spec.task](wanted, str(preset.data), request.data_dir)
    _require_decided(request, material, str(preset.data))
    together = start(cluster)
    with together.scope():
        model, arguments, imported = _first_model(request, preset, material)
    preprocessing = spec.preprocessing(
        arguments,
        affine=imported.preprocess if imported else None,
        like=imported.preprocessing if imported else None,
        resize=preset.resize,
    )
    settings = RunSettings(
        model=spec.name,
        preset=request.preset_name,
        training=preset,
        arguments=arguments,
        seed=request.seed,
        data_digest="",
        weights_sha256=imported.provenance.source_sha256 if imported else None,
    )
    if cluster.chief and not force:
        refuse_other_run(run_dir, settings)
    course = material.course(
        Terms(
            preset=preset,
            arguments=arguments,
            preprocessing=preprocessing,
            seed=request.seed,
            share=cluster.share,
            progress=progress,
            judge=request.judge,
        )
    )
    # The name is the one by which a conversion can open the data again. Data without a test part of its own may be
    # evaluated whole, so the card must tell which items were learned from.
    trained_on = data_ref(str(preset.data), course.learned, seed=request.seed, keep_items=material.keeps_items)
    settings = replace(settings, data_digest=trained_on.digest)
    with _own_folder(run_dir) if cluster.chief else contextlib.nullcontext():
        if cluster.chief and open_run(run_dir, settings, force=force):
            if cluster.shared:
                refuse_existing([run_dir / MODEL], force=False)
            if request.judge is not None:
                require_judged(run_dir / MODEL, request.judge, data=str(preset.data))
            return run_dir / MODEL
        if course.show is not nothing:
            require_folder(run_dir)
        for remark in course.remarks:
            tell(remark)
        goes_on = f"{run_dir} keeps every finished epoch: run the same command to go on"
        try:
            with working_together(cluster, goes_on):
                _require_agreement(together, settings)
                with together.scope():
                    learner = course.learner(model)
                state, taught = fit(
                    learner,
                    course.lesson,
                    checkpoint=run_dir / CHECKPOINT,
                    progress=progress,
                    on_epoch=on_epoch,
                    tensorboard=run_dir / "tensorboard" if tensorboard else None,
                    together=together,
                    teacher=course.teacher,
                    show=lambda epoch: course.show(learner, epoch, run_dir),
                    last=bool(course.last_kept),
                )
        except KeyboardInterrupt:
            raise TrainingInterruptedError(f"training was interrupted; {goes_on}.") from None
        if not cluster.chief:
            return run_dir / MODEL
        trained = course.finish(_own(model, learner, taught))
        card = card_for(
            trained,
            spec,
            arguments=arguments,
            preprocessing=preprocessing,
            labels=material.labels,
            provenance=_provenance(imported, state, trained_on, settings, course.last_kept),
            metrics=course.test(trained),
        )
        write_history(run_dir, state)
        sampled = None if course.sampled is None else course.sampled(trained)
        card = course.stated(trained, material.completed(card))
        save(trained, card, run_dir / MODEL, force=True, sampled=sampled)
        (run_dir / CHECKPOINT).unlink()
    return run_dir / MODEL


def _require_decided(request: TrainRequest, material: Material, data: str) -> None:
    """`InputError` for an argument of the request that the data decide otherwise."""
    limits = {argument.name for argument in request.spec.arguments if argument.limit}
    for name, decided in material.arguments.items():
        wanted = request.arguments.get(name, decided)
        if wanted != decided and name not in limits:
            raise InputError(
                f"{data} decides {name} of {request.spec.name}, which is {decided}; got {wanted}: leave {name} out."
            )


def _own(model: Any, learner: Any, taught: Any) -> Any:
    """``model`` with what its ``learner``, or that one's twin ``taught``, has learned."""
    if learner is model:
        return taught
    if taught is not learner:
        assign(learner.variables, values(taught.variables))
    return model


def _require_agreement(together: Together, settings: RunSettings) -> None:
    """`InputError` in every worker unless all of them do the same training on the same data."""
    digest = hashlib.sha256(repr(sorted(settings.flat().items())).encode()).digest()
    if not together.agree(int.from_bytes(digest[:3])):
        raise InputError(
            "The workers do not do the same training: give all of them the same command, the same data and the same "
            "edgekit."
        )


@contextlib.contextmanager
def _own_folder(run_dir: Path) -> Iterator[None]:
    """``run_dir``, made where it is not there, for this training alone; one that stays empty is removed."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {run_dir}: {error.strerror}; choose another folder with -o.") from None
    with sole_use(run_dir):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                run_dir.rmdir()


def _first_model(
    request: TrainRequest, preset: TrainingPreset, material: Material
) -> tuple[Any, dict[str, Value], ImportedWeights | None]:
    """The model before its first step, its builder's arguments, and the weights that were taken over."""
    spec, chosen = request.spec, request.arguments
    if request.weights is None:
        arguments = spec.resolved({**preset.arguments, **chosen, **material.arguments})
        return build(spec, seed=request.seed, **arguments), arguments, None
    if "classes" not in material.arguments or spec.preprocess is None:
        raise InputError(
            f"{spec.name} cannot start from weights, which were learned with tokens, scales or an opponent of their "
            "own; leave out --weights."
        )
    model, imported, arguments = build_with_weights(
        spec,
        request.weights,
        seed=request.seed,
        classes=int(material.arguments["classes"]) if "classes" in material.arguments else None,
        labels=material.labels,
        defaults=preset.arguments,
        arguments=chosen,
    )
    return model, arguments, imported


def _provenance(
    imported: ImportedWeights | None, state: Checkpoint, trained_on: DataRef, settings: RunSettings, last_kept: str
) -> Provenance:
    notes = (
        last_kept or f"best epoch {state.best_epoch} of {state.epoch}, by the loss on the validation part",
        f"validation: {settings.training.validation_fraction:.0%} of the training part",
    )
    before = imported.provenance if imported else Provenance()
    return replace(before, training=trained_on, training_settings=settings.flat(), notes=(*before.notes, *notes))
