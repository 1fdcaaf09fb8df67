"""Bayesian classifiers in files: evaluated in passes, told from strangers, predicted, converted and shown."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_bayes import SPREAD, blots, classifier, learned, request, stripes

from edgekit.artifact import Format, open_artifact, with_card
from edgekit.converters import Request, convert
from edgekit.data import Dataset, Part, open_data
from edgekit.data.pass_noise import pass_noise
from edgekit.demos.uncertain import doubts, told_of_mean
from edgekit.errors import DataError, InputError
from edgekit.measure.compare import compare
from edgekit.measure.evaluate import EvaluationReport, evaluate
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.measure.layers import compare_layers
from edgekit.measure.predict import predict
from edgekit.measure.strangers import told_apart
from edgekit.models.passes import sample_path
from edgekit.recipe import Precision, Recipe
from edgekit.uncertainty import Uncertainty


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stripes.npz, blots.npz, and sample.onnx, a classifier of the stripes."""
    made = tmp_path_factory.mktemp("bayes")
    blots(made)
    data = stripes(made)
    classifier(made / "sample.onnx", data)
    return made


def evaluated(folder: Path, *paths: Path, **options: Any) -> EvaluationReport:
    return evaluate(paths, known(folder), **options)


def known(folder: Path) -> Dataset:
    return open_data(str(folder / "stripes.npz"), part=Part.EVALUATION, data_dir=None)


def strangers(folder: Path) -> Dataset:
    return open_data(str(folder / "blots.npz"), part=Part.EVALUATION, data_dir=None)


def by_hand(folder: Path, passes: int) -> tuple[Any, Any]:
    """Mean probabilities and mean entropies of passes of sample.onnx, by numpy."""
    weights, bias = learned(folder / "stripes.npz")
    card = open_artifact(folder / "sample.onnx").card
    assert card.uncertainty is not None
    each = []
    for number in range(passes):
        rows = []
        for item in known(folder):
            assert isinstance(item, np.ndarray)
            x = item.reshape(784) / 255
            noise = pass_noise(card.uncertainty.noises, card.inputs, item, number)["logits_noise"]
            logits = x @ weights + bias - np.sqrt(SPREAD * (x**2).sum()) * noise
            rows.append(np.exp(logits) / np.exp(logits).sum())
        each.append(rows)
    entropies = -(np.array(each) * np.log(each)).sum(axis=2)
    return np.mean(each, axis=0), entropies.mean(axis=0)


def test_the_probabilities_of_passes_are_averaged(folder: Path) -> None:
    expected, of_passes = by_hand(folder, 4)
    (entry,) = evaluated(folder, folder / "sample.onnx", passes=4).entries
    labels = known(folder).labels
    assert labels is not None
    total = -(expected * np.log(expected)).sum(axis=1)
    assert entry.passes == 4
    sure = entry.result.certainty
    assert sure is not None
    assert sure.nll == pytest.approx(-np.log(expected[np.arange(len(labels)), labels]).mean(), rel=1e-4)
    assert sure.entropy == pytest.approx(total.mean(), rel=1e-4)
    assert sure.mutual_information == pytest.approx((total - of_passes).mean(), rel=1e-3)
    assert (total - of_passes).mean() > 0.01


def test_a_pass_alone_has_no_mutual_information_and_more_passes_are_less_sure(folder: Path) -> None:
    path = folder / "sample.onnx"
    alone, several = (evaluated(folder, path, passes=n).entries[0].result.certainty for n in (1, 20))
    assert alone is not None
    assert several is not None
    assert alone.mutual_information is None
    assert several.entropy > alone.entropy
    assert evaluated(folder, path).entries[0].passes == 20


def test_strangers_have_the_higher_entropy_and_a_damaged_file_does_not_know_it(folder: Path) -> None:
    damaged = classifier(folder / "damaged.onnx", folder / "stripes.npz", shuffled=True)
    report = evaluated(folder, folder / "sample.onnx", damaged, ood=strangers(folder))
    good, bad = (entry.metrics() for entry in report.entries)
    assert (report.strange_count, report.strange) == (40, strangers(folder).name)
    assert good["ood_auroc"] > 0.9
    assert good["ood_entropy"] > good["entropy"] + 0.3
    assert good["ood_auroc_low"] <= good["ood_auroc"] <= good["ood_auroc_high"]
    assert bad["ood_auroc"] < good["ood_auroc"] - 0.1
    assert bad["ood_auroc_difference_high"] < 0
    assert bad["nll_difference_low"] > 0
    title, columns, rows = report.table()
    assert title.startswith("Accuracy on 60 items of ")
    assert columns[-4:] == ["OOD AUROC %", "95 %", "difference, points", "95 %"]
    assert {len(row) for row in rows} == {len(columns)}
    assert report.results()[0]["ood_n"] == 40


def test_entropies_of_one_file_are_on_one_scale() -> None:
    """Scores that look like probabilities in one set alone are taken for the same as in the other."""
    known, strange = np.full((6, 4), 0.9), np.full((4, 4), 0.25)
    (told,) = told_apart([known], [strange])
    assert told.apart.value == 0.5


def test_a_swapped_pair_of_classes_costs_loss_and_calibration(folder: Path) -> None:
    swapped = classifier(folder / "swapped.onnx", folder / "stripes.npz", swapped=True)
    good, bad = (entry.metrics() for entry in evaluated(folder, folder / "sample.onnx", swapped).entries)
    assert bad["nll"] > good["nll"] + 0.5
    assert bad["nll_difference_low"] > 0.5
    assert bad["ece"] > good["ece"] + 0.2
    assert bad["ece_difference"] == pytest.approx(bad["ece"] - good["ece"])
    assert bad["entropy"] == pytest.approx(good["entropy"], rel=0.05)  # it is as sure as before


def test_what_does_not_go_together_is_refused(folder: Path, colour_model: Any) -> None:
    plain = colour_model(np.eye(3))
    sample, data = folder / "sample.onnx", known(folder)
    with pytest.raises(InputError) as caught:
        evaluated(folder, plain, passes=3)
    assert str(caught.value) == (
        f"--passes is for files that take noise; {plain} takes none: give the file .sample of a Bayesian network, or "
        "leave it out."
    )
    other = colour_model(np.eye(3), name="other.onnx")
    with pytest.raises(InputError, match=re.escape(f"; {plain} and {other} take none: give the file")):
        evaluated(folder, plain, other, passes=3)
    with pytest.raises(InputError, match=r"^A Bayesian classifier is run 1 to 1,000 times; got 0 passes\.$"):
        evaluated(folder, sample, passes=0)
    with pytest.raises(DataError) as same:
        evaluate([sample], data, ood=data)
    assert str(same.value) == (f"--ood takes data of another kind than --data; got {data.name} for both: name another.")
    with pytest.raises(InputError, match=r"^--passes and --ood are for classifiers; leave them out for detection\.$"):
        evaluate_by_task([sample], data, decoder="yolov8", ood=data)
    apart = colour_model(np.eye(3), independent_scores=True)
    words = (
        f"looks at the entropy of probabilities, and the scores of {apart} tell of each class for itself, as its card "
        "says; give classifiers with logits or probabilities."
    )
    with pytest.raises(InputError) as caught:
        evaluate([sample, apart], data, ood=strangers(folder))
    assert str(caught.value) == f"--ood {words}"
    with pytest.raises(InputError) as caught:
        doubts(apart, [photos(folder)], threshold=1.0)
    assert str(caught.value) == f"demo uncertain {words}"


def test_a_prediction_is_that_of_all_passes(folder: Path) -> None:
    np.save(folder / "one.npy", known(folder).items[0])
    (found,) = predict(folder / "sample.onnx", [folder / "one.npy"]).predictions
    expected = by_hand(folder, 20)[0][0]
    assert [guess.class_id for guess in found.top] == np.argsort(-expected).tolist()
    np.testing.assert_allclose(found.outputs["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("passes", [1, 4])
def test_predict_tells_the_doubt_of_so_many_passes(folder: Path, passes: int) -> None:
    np.savez(folder / "three.npz", x=np.stack(known(folder).items[:3]))
    command = ("predict", folder / "sample.onnx", folder / "three.npz", "--passes", passes, "--top", 2, "--json")
    done = edgekit(*command, folder / "told.json", env={"COLUMNS": "120"})
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads((folder / "told.json").read_text())["results"]
    assert [list(row["outputs"]) for row in rows] == [["probabilities" if passes > 1 else "logits"]] * 3
    expected, of_passes = (values[:3] for values in by_hand(folder, passes))
    total = -(expected * np.log(expected)).sum(axis=1)
    assert [row["passes"] for row in rows] == [passes] * 3
    assert [row["top"][0]["probability"] for row in rows] == pytest.approx(expected.max(axis=1), abs=1e-5)
    assert [row["entropy"] for row in rows] == pytest.approx(total, abs=1e-4)
    between = [f"{found:.3f}" for found in total - of_passes]
    if passes == 1:
        assert all("mutual_information" not in row for row in rows)
    else:
        assert [f"{row['mutual_information']:.3f}" for row in rows] == between
    edgekit(*command, folder / "again.json")
    assert json.loads((folder / "again.json").read_text())["results"] == rows
    shown = done.stdout.splitlines()
    first = next(line for line in shown if "three.npz[0]" in line)
    cells = [cell.strip() for cell in first.strip("│").split("│")]
    assert cells[4:] == [f"{total[0]:.3f}", *(between[:1] if passes > 1 else [])]
    following = shown[shown.index(first) + 1].strip("│").split("│")
    assert [cell.strip() for cell in following][4:] == [""] * len(cells[4:])


def test_predict_and_demo_uncertain_tell_the_same(folder: Path) -> None:
    sample, photo = folder / "sample.onnx", photos(folder) / "a.png"
    (told,) = predict(sample, [photo], passes=3, top=1).results()
    (seen,) = doubts(sample, [photo], passes=3).results()
    assert {name: told[name] for name in ("passes", "top", "entropy", "mutual_information")} == {
        name: seen[name] for name in ("passes", "top", "entropy", "mutual_information")
    }


def test_predict_refuses_passes_where_there_are_none(folder: Path) -> None:
    sample, plain, photo = folder / "sample.onnx", mean(folder, folder / "stripes.npz"), photos(folder) / "a.png"
    with pytest.raises(InputError) as caught:
        predict(plain, [photo], passes=3)
    assert str(caught.value) == (
        f"--passes is for files that take noise; {plain} takes none: give the file .sample of a Bayesian network, or "
        "leave it out."
    )
    apart = classifier(folder / "apart.onnx", folder / "stripes.npz", independent_scores=True)
    with pytest.raises(InputError, match=r"^predict with noise looks at the entropy of probabilities, and the scores"):
        predict(apart, [photo])
    done = edgekit("predict", sample, photo, "--decoder", "yolov8", "--passes", 3)
    assert (done.returncode, done.stderr) == (
        2, "edgekit: --passes is for classifiers that take noise; leave it out for a detector.\n",
    )  # fmt: skip


def test_a_file_beside_itself_is_the_same(folder: Path) -> None:
    sample = folder / "sample.onnx"
    (entry,) = compare(sample, [sample], known(folder), samples=10).entries
    assert entry.metrics()["max_abs"] == 0


def mean(folder: Path, data: Path) -> Path:
    """`classifier` without its noise."""
    from onnx import TensorProto, helper, numpy_helper

    weights, bias = learned(data)
    constants = {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
        ],
        "stripes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("batch", 28, 28, 1))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", 3))],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    stated = open_artifact(folder / "sample.onnx").card
    card = replace(stated, inputs=stated.inputs[:1], uncertainty=Uncertainty(threshold=0.6))
    path = folder / "mean.onnx"
    path.write_bytes(with_card(model.SerializeToString(), card, Format.ONNX))
    return path


def test_tables_tell_how_many_passes_their_figures_are_of(folder: Path) -> None:
    sample, plain = folder / "sample.onnx", mean(folder, folder / "stripes.npz")
    titles = [evaluated(folder, *paths).table()[0] for paths in ([sample], [plain, sample], [plain])]
    noise = ", with noise in 20 passes"
    assert titles == [f"Accuracy on 60 items of stripes{told}" for told in (noise, noise, "")]
    assert evaluated(folder, sample, passes=1).table()[0].endswith("with noise in one pass")
    np.save(folder / "one.npy", known(folder).items[0])
    told, untold = (predict(path, [folder / "one.npy"]) for path in (sample, plain))
    assert told.table()[0].endswith(noise)
    assert told.results()[0]["passes"] == 20
    assert "noise" not in untold.table()[0]
    assert "passes" not in untold.results()[0]
    shown = edgekit("inspect", sample).stdout
    assert "logits_noise: drawn anew for each of 20 passes" in shown
    assert "above 0.6 nats of entropy" in shown


def test_noise_is_no_fault_of_a_conversion(folder: Path) -> None:
    sample, plain = folder / "sample.onnx", mean(folder, folder / "stripes.npz")
    assert compare(sample, [sample], known(folder), samples=10).notes() == []
    assert compare(plain, [plain], known(folder), samples=10).notes() == []
    sentence = (
        f"{sample} takes noise and {plain} none, by which their outputs differ too; compare a file .sample with the "
        ".sample it was made from, to see what a conversion changed."
    )
    for reference, other in ((plain, sample), (sample, plain)):
        report = compare(reference, [other], known(folder), samples=10)
        assert report.notes() == [sentence]
    done = edgekit("compare", plain, sample, "--data", folder / "stripes.npz", "--samples", 10)
    assert (done.returncode, done.stderr) == (0, f"{sentence}\n")
    assert "with noise in one pass" in " ".join(done.stdout.split())


def test_layers_with_and_without_noise_are_not_compared(folder: Path) -> None:
    sample, plain = folder / "sample.onnx", mean(folder, folder / "stripes.npz")
    for reference, other in ((plain, sample), (sample, plain)):
        with pytest.raises(InputError) as caught:
            compare_layers(reference, [other], known(folder))
        assert str(caught.value) == (
            f"{sample} takes noise and {plain} none, by which their layers differ; compare a file .sample with the "
            ".sample it was made from."
        )


def test_one_pass_is_told_to_be_one_of_several(folder: Path) -> None:
    sample, plain = folder / "sample.onnx", mean(folder, folder / "stripes.npz")
    timed = edgekit("benchmark", sample, "--runs", 5, "--warmup", 1, "--min-secs", 0)
    assert (
        "sample.onnx is timed for one pass; an answer takes 20, each with noise drawn anew: edgekit demo uncertain "
        "times the whole.\n"
    ) in timed.stderr
    seen = edgekit("demo", "classify", sample, "--source", photos(folder) / "a.png", "--view", "none")
    assert seen.stderr.startswith(
        f"{sample} takes noise, and sees each frame in one pass of 20: edgekit demo uncertain averages them for photos"
        ", and the file without .sample is for cameras.\n"
    )
    other = edgekit("demo", "classify", plain, "--source", photos(folder) / "a.png", "--view", "none")
    assert "noise" not in other.stderr


def photos(folder: Path) -> Path:
    """Two stripes and a blot as PNGs."""
    kept = folder / "photos"
    kept.mkdir(exist_ok=True)
    stripe, blot = (np.load(folder / name) for name in ("stripes.npz", "blots.npz"))
    for name, pixels in (("a", stripe["x_test"][0]), ("b", stripe["x_test"][1]), ("c", blot["x"][0])):
        Image.fromarray(pixels).save(kept / f"{name}.png")
    return kept


def test_the_demo_tells_what_it_does_not_know(folder: Path, tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.png", tmp_path / "out.json"
    done = edgekit("demo", "uncertain", folder / "sample.onnx", photos(folder), "--json", out, "--save", sheet)
    assert done.returncode == 0, done.stderr
    assert "I don't know" in done.stdout
    assert "It knows 2 of 3 pictures; " in done.stderr
    assert "ms a picture in 20 passes." in done.stderr
    assert f"Wrote {sheet}.\n" in done.stderr
    rows = json.loads(out.read_text())["results"]
    assert [row["known"] for row in rows] == [True, True, False]
    assert [row["top"][0]["class_id"] for row in rows[:2]] == [0, 1]
    assert all(row["entropy"] > row["mutual_information"] >= 0 for row in rows)
    assert {row["passes"] for row in rows} == {20}
    pixels = np.asarray(Image.open(sheet))
    red = np.flatnonzero((pixels == (255, 0, 0)).all(axis=2).any(axis=0))
    assert pixels.shape == (146, 3 * 112, 3)
    assert red.min() >= 2 * 112  # the last, least sure one alone has a red frame


def test_thresholds_decide_and_a_file_without_noise_says_that_it_sees_less(folder: Path, colour_model: Any) -> None:
    sample = folder / "sample.onnx"
    none, every = (doubts(sample, [photos(folder)], threshold=limit, passes=2) for limit in (0.0, 9.0))
    assert [any(a.known for a in none.answers), all(a.known for a in every.answers)] == [False, True]
    assert told_of_mean(every) == ""
    plain = colour_model(np.eye(3))
    assert told_of_mean(doubts(plain, [photos(folder)], threshold=1.0)) == (
        f"{plain} takes no noise, so that it sees less: how unsure its weights are shows in the passes of a file "
        ".sample alone."
    )


def test_a_stranger_to_thresholds_is_asked_for_one(colour_model: Any, folder: Path) -> None:
    path = colour_model(np.eye(3))
    with pytest.raises(InputError) as caught:
        doubts(path, [photos(folder)])
    assert str(caught.value) == (
        f"The card of {path} does not say above which entropy it does not know; give one in nats with --threshold."
    )
    np.save(folder / "numbers.npy", np.zeros((4, 6, 3), np.float32))
    with pytest.raises(InputError, match=r"numbers\.npy is no image; give images or folders of images\.$"):
        doubts(path, [folder / "numbers.npy"], threshold=1.0)


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """The folder of a trained classifier of stripes."""
    from edgekit.models.train import train  # which loads TensorFlow

    return train(request("bayes_dense", folder / "stripes.npz"), folder / "run").parent


@pytest.fixture(scope="module")
def files(run: Path) -> Mapping[str, Path]:
    """What the run folder becomes in fp32 and int8, by the end of the name."""
    recipes = tuple(Recipe(precision=p, calibration_samples=60) for p in (Precision.FP32, Precision.INT8))
    report = convert(Request(source=run, recipes=recipes, output_dir=run.parent / "files"))
    return {row.path.name.removeprefix("run."): row.path for row in report.artifacts}


@pytest.mark.slow
def test_files_of_both_networks_keep_what_they_tell(folder: Path, run: Path, files: Mapping[str, Path]) -> None:
    kinds = [f"{code}.{fmt}" for fmt in ("tflite", "onnx") for code in ("fp32", "int8")]
    assert sorted(files) == sorted([*kinds, *(f"sample.{kind}" for kind in kinds)])
    assert len(list((folder / "files").iterdir())) == 9  # and one manifest
    mean = run / "model.keras"
    for prefix, source in (("", mean), ("sample.", sample_path(mean))):
        paths = [files[f"{prefix}{kind}"] for kind in kinds]
        for path in paths:
            assert open_artifact(path).card.uncertainty == open_artifact(source).card.uncertainty
        report = evaluated(folder, source, *paths, ood=strangers(folder))
        first, *others = (entry.metrics() for entry in report.entries)
        for kind, found in zip(kinds, others, strict=True):
            exact = kind.startswith("fp32")
            assert found["agreement"] == 1
            for name in ("nll", "entropy"):
                assert found[name] == pytest.approx(first[name], rel=1e-4 if exact else 0.05), (kind, name)
            # Blots are brighter than all that ranges were measured on, and end at these.
            assert found["ood_auroc"] == pytest.approx(first["ood_auroc"], abs=1e-4 if exact else 0.05), kind
        outputs = compare(source, paths, known(folder), samples=20).entries
        assert min(entry.metrics()["sqnr_db"] for entry in outputs) > 25


@pytest.mark.slow
def test_the_manifest_of_both_repeats_them(folder: Path, files: Mapping[str, Path], tmp_path: Path) -> None:
    (manifest,) = (folder / "files").glob("*.manifest.json")
    done = edgekit("convert", manifest, "-o", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    for path in files.values():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_files_are_timed_bundled_and_checked(folder: Path, files: Mapping[str, Path], tmp_path: Path) -> None:
    path = files["sample.int8.tflite"]
    timed = edgekit("benchmark", path, "--runs", 5, "--warmup", 1, "--min-secs", 0)
    assert timed.returncode == 0, timed.stderr
    packed = edgekit("bundle", path, "--data", folder / "stripes.npz", "-o", tmp_path / "b.zip")
    assert packed.returncode == 0, packed.stderr
    begun = edgekit("check", "init", path, "--data", folder / "stripes.npz", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    again = edgekit("check", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
