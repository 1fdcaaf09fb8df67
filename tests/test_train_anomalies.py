"""Autoencoders in training: what is learned, what decides the threshold, that it can go on, and files of it in int8."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from tiny_tables import NAMES, rows, write_csv

from edgekit.artifact import Format, open_artifact
from edgekit.card import ModelCard
from edgekit.codec import to_jsonable
from edgekit.converters import Request, convert
from edgekit.converters.calibration import ROWS, default_samples, find_data
from edgekit.data import Dataset, Part, item_digest, open_data
from edgekit.errors import DataError, InputError
from edgekit.measure.data_for import data_for
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.models.anomaly_material import anomaly_material
from edgekit.models.autoencoders import ae_contractive, ae_conv, ae_vanilla, vae
from edgekit.models.batches import ALONE, Share
from edgekit.models.checkpoint import EpochRecord
from edgekit.models.code_penalties import contractive, divergent, penalty_of, sparse
from edgekit.models.corruption import Corruption
from edgekit.models.lesson import Terms
from edgekit.models.listing import column_rows, train_entry, train_rows
from edgekit.models.reconstruction_lesson import ReconstructionLesson, Rows, errors_of
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainingInterruptedError, TrainRequest, train
from edgekit.models.variational_autoencoder import variational
from edgekit.recipe import CALIBRATION_SAMPLES, Precision, Recipe
from edgekit.runtimes import open_runtime
from edgekit.tabular import Column, Tabular
from edgekit.tasks.anomalies import best_threshold
from edgekit.workers import silent

QUICK, OTHERS = ("ae_vanilla", "vae", "ae_conv"), ("ae_deep", "ae_sparse", "ae_denoising", "ae_contractive")


def request(name: str, data: object, **changes: Any) -> TrainRequest:
    spec = find_spec(name)
    sizes = {n: v for n, v in {"code": 2, "hidden": 8, "filters": 2, "size": 8}.items() if n in spec.defaults}
    return replace(TrainRequest(spec=spec, data=str(data), epochs=3, batch_size=16, arguments=sizes), **changes)


def images(path: Path, count: int = 40) -> Path:
    """Pictures of 8 x 8 with an upper half that is more or less light, a fifth of them with a lower one."""
    random, labels = np.random.default_rng(0), (np.arange(count) % 5 == 0).astype(np.int64)
    x = random.integers(0, 60, (count, 8, 8)).astype(np.uint8)
    for number, label in enumerate(labels):
        x[number, 4 * label : 4 * label + 4] += np.uint8(random.integers(60, 195))
    np.savez(path, x=x, y=labels)
    return path


def open_npz(path: Path) -> Dataset:
    return open_data(str(path), part=Part.EVALUATION, data_dir=None)


def interrupt(record: EpochRecord, _epochs: int) -> None:
    if record.epoch == 2:
        raise KeyboardInterrupt


def weights_of(model: Path) -> list[Any]:
    import keras

    return list(keras.saving.load_model(model, safe_mode=True).get_weights())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path, ModelCard]]:
    """The data, the file and the card of an entry after an uninterrupted training, made once."""
    done: dict[str, tuple[Path, Path, ModelCard]] = {}

    def of(name: str) -> tuple[Path, Path, ModelCard]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            data = images(folder / "i.npz") if name == "ae_conv" else write_csv(folder / "t.csv", count=120)
            model = train(request(name, data), folder / "run")
            done[name] = (data, model, open_artifact(model).card)
        return done[name]

    return of


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_an_interrupted_training_ends_with_the_same_weights(name: str, trained: Any, tmp_path: Path) -> None:
    data, model, card = trained(name)
    with pytest.raises(TrainingInterruptedError):
        train(request(name, data), tmp_path / "run", on_epoch=interrupt)
    again = weights_of(train(request(name, data), tmp_path / "run"))
    assert all(map(np.array_equal, weights_of(model), again))
    assert (card.name, card.task) == (name, "anomaly-detection")
    assert card.signatures == {"encode": ("code",), "reconstruct": ("reconstruction",), "score": ("score",)}
    assert card.keep_float == ("^score",)
    names = ["pr_auc", "roc_auc", "precision", "recall", "f1", "reconstruction_error", "threshold"]
    assert [metric.name for metric in card.metrics] == names
    assert (card.tabular is None) == (name == "ae_conv") == (card.preprocessing is not None)


def test_the_threshold_is_the_best_of_the_validation_part(trained: Any) -> None:
    import keras

    data, model, card = trained("ae_vanilla")
    material = anomaly_material(find_spec("ae_vanilla"), str(data), None)
    spec = request("ae_vanilla", data)
    course = material.course(
        Terms(preset=spec.settings(), arguments={"code": 2}, preprocessing=None, seed=0, share=ALONE, progress=silent)
    )
    validation = course.lesson.validation
    assert validation.anomalous.any()
    errors = errors_of(keras.saving.load_model(model), validation)
    assert card.anomaly.threshold == pytest.approx(best_threshold(errors, validation.anomalous), rel=1e-5)
    assert card.anomaly.chosen == "best F1 on the validation part"
    assert not course.lesson.training.anomalous.any()
    assert not set(course.lesson.training.digests) & set(validation.digests)


def test_columns_are_standardized_by_the_normal_rows_alone(trained: Any) -> None:
    data, _, card = trained("ae_vanilla")
    values, labels = rows(120)
    material = anomaly_material(find_spec("ae_vanilla"), str(data), None)
    learned = np.stack([np.asarray(item) for item in material.train])[material.train.labels == 0]
    assert card.tabular.names == NAMES
    np.testing.assert_allclose([c.mean for c in card.tabular.columns], learned.mean(0, np.float64), atol=1e-5)
    np.testing.assert_allclose([c.scale for c in card.tabular.columns], learned.std(0, dtype=np.float64), rtol=1e-5)
    assert abs(card.tabular.columns[0].mean) < 0.5 < values[:, 0].mean()
    assert labels.sum() == 24


def test_rows_that_were_learned_from_are_left_out(trained: Any) -> None:
    """What `evaluate` says of the whole table is what training said of its test share."""
    data, model, card = trained("ae_vanilla")
    report = evaluate_by_task([model], open_data(str(data), part=Part.EVALUATION, data_dir=None))
    metrics = {metric.name: metric for metric in card.metrics}
    assert (report.count, report.left_out) == (24, 96)
    (row,) = report.results()
    assert row["metrics"]["pr_auc"] == pytest.approx(metrics["pr_auc"].value, abs=1e-6)
    assert row["metrics"]["f1"] == pytest.approx(metrics["f1"].value, abs=1e-6)
    assert metrics["pr_auc"].count == 24


def test_anomalies_that_all_test_choose_no_threshold(tmp_path: Path) -> None:
    """Copies of a row of the test are not learned from, and nothing is left to choose by."""
    values, _ = rows(120)
    broken, labels = np.full((8, 3), 9, np.float32), np.repeat([0, 1], [100, 8])
    learned = np.concatenate([values[:100] / 3, broken])
    test = {"x_test": np.concatenate([values[100:] / 3, broken[:1]]), "y_test": np.repeat([0, 1], [20, 1])}
    np.savez(tmp_path / "d.npz", x_train=learned, y_train=labels, **test)
    card = open_artifact(train(request("ae_vanilla", tmp_path / "d.npz"), tmp_path / "run")).card
    assert card.anomaly is not None
    assert card.anomaly.chosen == "the 99th percentile of the scores on the validation part"


def test_without_anomalies_the_threshold_is_a_percentile(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "t.csv", count=120, labelled=False)
    card = open_artifact(train(request("ae_vanilla", data), tmp_path / "run")).card
    assert card.anomaly is not None
    assert card.anomaly.chosen == "the 99th percentile of the scores on the validation part"
    assert [metric.name for metric in card.metrics] == ["reconstruction_error", "threshold"]
    assert card.anomaly.threshold == card.metrics[1].value > 0


@pytest.mark.parametrize(("anomalous", "chosen"), [(1, "the 99th percentile of the scores"), (2, "best F1")])
def test_few_anomalies_test_first_and_then_validate(anomalous: int, chosen: str, tmp_path: Path) -> None:
    values, _ = rows(60)
    values[:anomalous] += 40
    np.savez(tmp_path / "d.npz", x=values, y=(np.arange(60) < anomalous).astype(np.int64))
    said: list[str] = []
    card = open_artifact(train(request("ae_vanilla", tmp_path / "d.npz"), tmp_path / "run", tell=said.append)).card
    assert said == [
        "Of 13 items of the test 1 is an anomaly and 12 normal: with fewer than 10 of a kind figures and intervals say "
        "little of others."
    ]
    metrics = {metric.name: metric.value for metric in card.metrics}
    assert metrics["pr_auc"] == metrics["roc_auc"] == 1
    assert card.anomaly is not None
    assert card.anomaly.chosen == f"{chosen} on the validation part"
    report = evaluate_by_task([tmp_path / "run" / "model.keras"], open_npz(tmp_path / "d.npz"))
    (row,) = report.results()
    assert (row["n"], row["metrics"]["anomalies"]) == (13, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("heat,noise,label\n1,2,0\n" * 1 + "1,3,0\n1,4,0\n1,5,0\n",
         "t has heat 1 in all 3 normal rows to learn from; expected a column that varies: leave it out."),
        ("heat,label\n1,0\n2,0\n3,2\n4,2\n", "t has the label 2; expected 0 for a normal item and 1 for an anomaly."),
        ("heat,label\n1,1\n2,1\n3,1\n4,1\n", "All 4 items of t are anomalies; expected normal ones, with label 0."),
        ("text,label\ngood,0\nbad,1\n", "{data} is no data for ae_vanilla; expected columns of numbers: a .csv or an "
         ".npz with an item a row, or fraud, with the labels 0, normal, and 1, anomaly, or all normal."),
        ("heat,label\n1,0\n,0\n", "{data}, line 3, has the heat ''; expected a number: fill it in or leave the line "
         "out."),
        ("heat,maker,label\n1,us,0\n2,you,0\n", "{data}, line 2, has the maker 'us'; expected a number: leave out a "
         "column of words, call one of image paths 'file', or begin with dates such as 2017-05-25."),
        ("heat,label\n1,0\n2,0\n3,1\n", "t has 2 normal items for training and test; expected 3 or more: add some."),
        ("heat,label\n1,0\n2,1\n3,1\n", "t has 1 normal item for training and test; expected 3 or more: add some."),
        ("heat\n1e200\n2\n3\n4\n", "t has heat up to 1e+200, whose squares are beyond float64; expected smaller "
         "numbers: give the column in another unit, or leave it out."),
        ("day,heat\n2026-01-01,1\n2026-01-02,2\n2026-01-03,4\n", "{data} is no data for ae_vanilla; expected columns "
         "of numbers: a .csv or an .npz with an item a row, or fraud, with the labels 0, normal, and 1, anomaly, or "
         "all normal: a table with dates is a series, so leave its dates out."),
        ("heat,Class\n1,0\n2,0\n4,1\n8,0\n9,0\n", "t has Class, of 0 and 1 alone, and no column label; expected to "
         "know which rows are anomalies: if Class says it, call it label, or leave it out."),
        ("heat,label,Label\n1,0,0\n2,0,0\n", "{data} has the columns label and Label; expected one of labels: rename "
         "others."),
        ("heat,label\n1,zero\n2,0\n", "{data}, line 2, has the label 'zero'; expected a whole number, zero or "
         "more: 0 for normal, 1 for an anomaly, or a class."),
    ],
)  # fmt: skip
def test_a_table_that_teaches_nothing_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    data = tmp_path / "t.csv"
    data.write_text(text)
    with pytest.raises(DataError) as caught:
        train(request("ae_vanilla", data), tmp_path / "run")
    assert str(caught.value) == sentence.replace("{data}", str(data))


def test_labels_are_found_in_whatever_case(trained: Any, tmp_path: Path) -> None:
    data, model, _ = trained("ae_vanilla")
    other = tmp_path / "other.csv"
    other.write_text(data.read_text().replace("label", "LABEL"))
    read = anomaly_material(find_spec("ae_vanilla"), str(other), None)
    assert (read.tabular.names, read.train.labels.sum() + read.test.labels.sum()) == (NAMES, 24)
    first, second = (evaluate_by_task([model], data_for([model], str(d), data_dir=None)) for d in (data, other))
    assert first.results()[0]["metrics"] == second.results()[0]["metrics"]


def test_columns_that_count_rows_are_told_and_columns_of_another_kind_are_not(tmp_path: Path) -> None:
    data, said = tmp_path / "t.csv", list[str]()
    head, *lines = write_csv(tmp_path / "plain.csv", count=40).read_text().splitlines()
    lines = [f"{900 + n},{50 - n},{n % 7},{n / 8},{line}" for n, line in enumerate(lines)]
    data.write_text("\n".join([f"id,down,class,part,{head}", *lines]) + "\n")
    model = train(request("ae_vanilla", data), tmp_path / "run", tell=said.append)
    assert said[:2] == [
        f"{name} is another number in every row; leave it out if it counts rows." for name in ("id", "down")
    ]
    assert ["columns", "id, down, class, part, heat, noise, speed"] in train_rows(train_entry(model))
    assert train(request("ae_vanilla", data), tmp_path / "run", tell=said.append) == model
    assert len(said) == 3  # a training that is finished has said it


def test_the_first_of_many_columns_are_told() -> None:
    columns = tuple(Column(name=f"c{n}", mean=0.0, scale=1.0) for n in range(1, 31))
    card = {"tabular": to_jsonable(Tabular(columns=columns))}
    assert column_rows(card) == [["columns", "c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 and 18 more"]]


def test_tables_teach_no_model_of_images_nor_the_other_way_round(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "t.csv")
    with pytest.raises(DataError) as caught:
        anomaly_material(find_spec("ae_conv"), str(data), None)
    assert str(caught.value) == (
        f"{data} is no data for ae_conv; expected images, with the labels 0, normal, and 1, anomaly, or all normal."
    )
    with pytest.raises(DataError):
        anomaly_material(find_spec("ae_vanilla"), str(images(tmp_path / "i.npz")), None)
    with pytest.raises(DataError) as caught:
        anomaly_material(find_spec("gru_forecast"), str(tmp_path / "none.csv"), None)
    assert str(caught.value) == f"There is no file or folder {tmp_path / 'none.csv'}."


def test_copies_of_what_was_set_aside_are_not_learned() -> None:
    values = np.zeros((4, 2), np.float32)
    data = Rows(values=values, anomalous=np.array([False, False, True, False]), digests=("a", "b", "c", "a"))
    aside = replace(data.subset(np.array([0])), digests=("a",))
    assert data.apart_from(aside).digests == ("b", "c")
    with pytest.raises(DataError) as caught:
        data.apart_from(data.subset(np.array([0, 1])))
    assert str(caught.value) == (
        "All 3 normal items to learn from are copies of items that were set aside; add other items."
    )


def test_no_autoencoder_starts_from_weights(trained: Any, tmp_path: Path) -> None:
    for name in ("ae_vanilla", "ae_conv"):
        data, model, _ = trained(name)
        with pytest.raises(InputError) as caught:
            train(request(name, data, weights=model), tmp_path / "run")
        assert str(caught.value) == (
            f"{name} cannot start from weights, which were learned with tokens, scales or an opponent of their own; "
            "leave out --weights."
        )


def test_sides_that_cannot_be_halved_twice_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        ae_conv(size=30, channels=1, filters=2, code=2)
    assert str(caught.value) == "ae_conv takes sizes that are multiples of 4; got 30."


def test_the_score_is_the_mean_of_the_squared_differences() -> None:
    model = ae_vanilla(features=3, code=2)
    given = np.random.default_rng(0).normal(0, 1, (5, 3)).astype(np.float32)
    _, made, score = (np.asarray(values) for values in model(given))
    np.testing.assert_allclose(score[:, 0], np.square(given - made).mean(axis=1), rtol=1e-5)
    rows_of = Rows(values=given, anomalous=np.zeros(5, bool), digests=tuple("abcde"))
    np.testing.assert_allclose(errors_of(model, rows_of), score[:, 0], rtol=1e-5)


def test_the_contractive_penalty_is_the_norm_of_the_jacobian() -> None:
    """Of one layer of rectifiers it is the squared weights of those that are on."""
    model = ae_contractive(features=3, code=4)
    given = np.random.default_rng(0).normal(0, 1, (6, 3)).astype(np.float32)
    weights = model.get_layer("code").kernel.numpy()
    import tensorflow as tf

    code = np.asarray(model(given)[0])
    expected = 0.5 * ((code > 0)[:, None, :] * np.square(weights)[None]).sum()
    assert float(contractive(0.5)(model, tf.constant(given), ())) == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_a_training_with_the_jacobian_says_nothing_but_its_epochs(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "t.csv", labelled=False)
    done = edgekit("train", "ae_contractive", "--data", data, "--epochs", "2", "-o", tmp_path / "run")
    assert (done.returncode, [line.split()[0] for line in done.stderr.splitlines()]) == (0, ["epoch", "epoch"])


def test_the_sparse_penalty_is_the_sum_of_the_code() -> None:
    import tensorflow as tf

    code = tf.constant([[1.0, -2.0], [0.0, 3.0]])
    assert float(sparse(0.5)(None, None, (code,))) == 3
    assert penalty_of({"sparsity": 0.0}) is None
    assert penalty_of({"code": 3}) is None


def test_the_divergence_is_that_of_normal_distributions() -> None:
    import tensorflow as tf

    mean, log_variance = np.array([[1.0, -1.0]], np.float32), np.log(np.array([[4.0, 1.0]], np.float32))
    expected = 0.5 * (4 + 1 - 1 - np.log(4)) + 0.5 * (1 + 1 - 1)  # of N(1, 4) and N(-1, 1) from N(0, 1)
    model = vae(features=8, hidden=4, code=2)
    found = divergent(1.0)(model, None, (tf.constant(mean), None, tf.constant(log_variance)))
    assert float(found) == pytest.approx(2 / 8 * expected, rel=1e-5)


def test_without_noise_the_learner_is_the_model() -> None:
    model = vae(features=5, hidden=4, code=2)
    learner = variational(model)
    given = np.random.default_rng(0).normal(0, 1, (7, 5)).astype(np.float32)
    still, noise = np.zeros((7, 2), np.float32), np.ones((7, 2), np.float32)
    code, made, _ = model(given)
    mean, same, spread = learner([given, still])
    np.testing.assert_array_equal(mean, code)
    np.testing.assert_array_equal(same, made)
    np.testing.assert_array_equal(spread, np.zeros((7, 2)))  # a deviation of 1 at first
    drawn = learner([given, noise])[1]
    assert not np.allclose(drawn, made)
    assert len(learner.trainable_variables) == len(model.trainable_variables) + 2
    assert learner.get_layer("decoder_1") is model.get_layer("decoder_1")


@pytest.mark.parametrize("kind", ["zero", "gaussian"])
def test_so_many_numbers_are_damaged(kind: str) -> None:
    how = Corruption.of({"corruption": kind, "share": 0.4})
    assert how is not None
    values = np.random.default_rng(1).normal(3, 1, (400, 50)).astype(np.float32)
    damaged = how.damaged(values, np.random.default_rng(0))
    hit = damaged != values
    assert damaged.dtype == np.float32
    assert hit.mean() == pytest.approx(0.4, abs=0.02)
    if kind == "zero":
        assert not damaged[hit].any()
    else:
        assert (damaged - values)[hit].std() == pytest.approx(1, abs=0.05)
    assert Corruption.of({"code": 2}) is None


def test_batches_are_a_function_of_seed_and_epoch_and_ask_for_the_whole() -> None:
    values = np.random.default_rng(0).normal(0, 1, (20, 3)).astype(np.float32)
    data = Rows(values=values, anomalous=np.zeros(20, bool), digests=tuple(map(str, range(20))))
    lesson = ReconstructionLesson(
        training=data,
        validation=data,
        preset=replace(find_spec("ae_denoising").presets["small"], batch_size=8),
        seed=0,
        share=Share(index=0, count=1),
        corruption=Corruption(share=0.5, gaussian=False),
        noise=2,
    )
    first, again, other = ([*lesson.batches(epoch)] for epoch in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert all(map(np.array_equal, a, b))
    assert not np.array_equal(first[0][2], other[0][2])
    given, whole, noise, size = first[0]
    assert (given.shape, whole.shape, noise.shape, size) == ((8, 3), (8, 3), (8, 2), 8.0)
    assert not np.array_equal(given, whole)
    seen = np.concatenate([batch[1] for batch in first])
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(values, axis=0))


def test_images_with_classes_of_another_task_calibrate(trained: Any, tmp_path: Path) -> None:
    """All of them: their labels do not tell normal ones from anomalies. Of a table such labels are a mistake."""
    _, model, card = trained("ae_conv")
    with np.load(images(tmp_path / "own.npz")) as own:
        x = own["x"]
    np.savez(tmp_path / "classes.npz", x=x, y=np.arange(40) % 10)
    np.savez(tmp_path / "named.npz", x=x, y=np.arange(40) % 2, class_names=np.array(["cat", "dog"]))
    for name, count in (("classes", 40), ("named", 40), ("own", 32)):
        found = find_data(str(tmp_path / f"{name}.npz"), card, required=True, data_dir=None)
        assert found is not None
        assert len(found) == count
    recipe = Recipe(precision=Precision.FP32)
    request_of = Request(source=model, recipes=(recipe,), calibration=str(tmp_path / "classes.npz"))
    made = convert(replace(request_of, output_dir=tmp_path, formats=(Format.ONNX,)))
    assert [row.format for row in made.artifacts] == [Format.ONNX]
    (tmp_path / "t.csv").write_text("heat,noise,speed,label\n1,2,3,0\n1,2,3,2\n")
    with pytest.raises(DataError) as caught:
        find_data(str(tmp_path / "t.csv"), trained("ae_vanilla")[2], required=True, data_dir=None)
    assert str(caught.value) == "t has the label 2; expected 0 for a normal item and 1 for an anomaly."


def test_normal_rows_alone_calibrate(trained: Any) -> None:
    data, model, card = trained("ae_vanilla")
    found = find_data(str(data), card, required=True, data_dir=None)
    assert found is not None
    assert len(found) == 96
    whole = open_data(str(data), part=Part.CALIBRATION, data_dir=None)
    assert whole.labels is not None
    anomalies = {item_digest(whole.items[place]) for place in np.flatnonzero(whole.labels)}
    assert not anomalies & {item_digest(item) for item in found}
    assert (default_samples(model), default_samples(model.parent)) == (ROWS, ROWS)
    assert default_samples(data) == CALIBRATION_SAMPLES


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ae_deep", "ae_conv"])
def test_the_score_stays_exact_in_int8(name: str, tmp_path: Path) -> None:
    """Far outside of what is normal too: the score is that of the reconstruction that the file gives."""
    data = images(tmp_path / "i.npz") if name == "ae_conv" else write_csv(tmp_path / "t.csv", count=120)
    model = train(request(name, data, epochs=60, batch_size=4), tmp_path / "run")
    card = open_artifact(model).card
    recipe = Recipe(precision=Precision.INT8, calibration_samples=64)
    report = convert(Request(source=model, recipes=(recipe,), calibration=str(data), output_dir=tmp_path))
    assert {row.format.value for row in report.artifacts} == {"tflite", "onnx"}
    (shape,) = (spec.shape[1:] for spec in card.inputs)
    given = np.random.default_rng(0).normal(0, 40, (1, *shape)).astype(np.float32)
    for row in report.artifacts:
        runtime = open_runtime(row.path)
        outputs = runtime.run({card.inputs[0].name: given})
        expected = np.square(given - outputs["reconstruction"]).mean()
        assert outputs["score"].item() == pytest.approx(expected, rel=1e-4)
        assert outputs["score"].item() > 100
        made = open_artifact(row.path).card
        assert (made.anomaly, made.tabular, made.signatures) == (card.anomaly, card.tabular, card.signatures)
        # The image comes in float, and ONNX puts it in another layout.
        assert {op.reason for op in row.float_ops} <= {"its card keeps it in float", "its input is float"}
