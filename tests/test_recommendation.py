"""Recommenders through real engines: known figures, canaries, intervals over users, the demo, and sentences."""

import difflib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from tiny_ratings import HOW, data_of, recommender

from edgekit.data import Dataset
from edgekit.demos.recommend import recommend
from edgekit.errors import DataError, InputError
from edgekit.measure.compare import compare
from edgekit.measure.evaluate_by_task import evaluate_by_task, require_truth, task_of
from edgekit.measure.evaluate_kinds import KindReport
from edgekit.measure.predict import predict
from edgekit.tasks.recommendation import best_unseen, errors_of, evaluate_recommendations, ratio_interval

USERS = data_of(
    (["1", "2", "4"], [5, 5, 1], [False, True, True]),
    (["2", "3", "9"], [4, 1, 3], [False, True, True]),
    (["9", "8"], [4, 1], [False, True]),
)
"""The hidden ratings are 1 and 0 of the first, 0 of the second, and of items that no model knows."""
TRUE, MEANS = [0.9, 1.0, 0.0, 0.0], [0.75, 0.5, 0.5, 0.25]


def measured(paths: list[Path], data: Dataset = USERS, **options: Any) -> list[dict[str, float]]:
    report = evaluate_by_task(paths, data, **options)
    assert isinstance(report, KindReport)
    return [entry.metrics() for entry in report.entries]


def refused(paths: list[Path], data: Dataset = USERS) -> str:
    with pytest.raises((DataError, InputError)) as caught:
        evaluate_by_task(paths, data)
    return str(caught.value)


def test_figures_are_those_of_the_hidden_ratings_alone(tmp_path: Path) -> None:
    files = [recommender(tmp_path / f"{name}.onnx", values) for name, values in (("t", TRUE), ("m", MEANS))]
    true, means = measured(files)
    assert (true["mse"], true["mse_ratio"], true["ratings"], true["known"]) == (0, 0, 3, 0.6)
    by_means = (0.5**2 + 0.25**2 + 0.5**2) / 3
    assert means["mse"] == means["item_mean_mse"] == true["item_mean_mse"] == pytest.approx(by_means)
    assert means["mse_ratio"] == 1
    assert means["mean_mse"] == pytest.approx(0.25)
    # Offsets: the first user gave 1 where 0.75 is the mean, the second 0.75 where it is 0.5.
    offset = 0.25 / 11
    expected = ((0.5 - offset) ** 2 + (0.25 + offset) ** 2 + (0.5 + offset) ** 2) / 3
    assert means["offset_mse"] == pytest.approx(expected)
    assert means["mse_difference"] == pytest.approx(by_means)
    assert "mse_difference" not in true
    assert means["mse_low"] < means["mse"] < means["mse_high"]  # though nothing of one user counts
    assert means["mse_difference_low"] < by_means < means["mse_difference_high"]


def test_a_damaged_file_is_worse_and_one_of_nan_is_refused(tmp_path: Path) -> None:
    sound = recommender(tmp_path / "sound.onnx", MEANS)
    swapped = recommender(tmp_path / "swapped.onnx", MEANS[::-1])
    before, after = measured([sound, swapped])
    assert after["mse"] > before["mse"]
    nan = recommender(tmp_path / "nan.onnx", [np.nan] * 4)
    assert refused([nan]) == (
        f"{nan}: The model's output has 4 of 4 values that are NaN or infinite; expected finite numbers."
    )


def test_intervals_are_over_users_and_hold_what_they_promise() -> None:
    """Of many draws of users nineteen in twenty intervals hold the true figure, though a user's ratings are alike."""
    random, held, draws = np.random.default_rng(0), 0, 60
    for seed in range(draws):
        users = random.exponential(1, 80)
        counts = random.integers(1, 20, 80).astype(float)
        interval = ratio_interval(users * counts, counts, seed=seed)
        assert interval is not None
        held += interval[0] <= 1 <= interval[1]
    assert held / draws > 0.85
    assert ratio_interval(np.ones(2), np.array([0.0, 1.0]), seed=0) is None


def test_one_user_gives_no_interval(tmp_path: Path) -> None:
    alone = data_of((["1", "2", "4"], [5, 5, 1], [False, True, True]))
    files = [recommender(tmp_path / f"{name}.onnx", values) for name, values in (("t", TRUE), ("m", MEANS))]
    report = evaluate_by_task(files, alone)
    figures = report.results()[1]["metrics"]
    assert figures["mse"] > 0
    assert not [name for name in figures if name.endswith(("_low", "_high"))]
    _, columns, cells = report.table()
    assert [cell for name, cell in zip(columns, cells[1], strict=True) if name == "95 %"] == ["-", "-", "-"]


def test_a_pair_of_files_is_told_apart_where_each_alone_is_unsure(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    users = data_of(*([["1", "2"], [3, float(rating)], [False, True]] for rating in random.integers(1, 6, 200)))
    files = [recommender(tmp_path / f"{shift}.onnx", [0.75, 0.5 + shift, 0.5, 0.25]) for shift in (0.0, 0.05)]
    first, second = measured(files, users)
    assert first["mse_low"] < second["mse"] < first["mse_high"]
    assert second["mse_difference_low"] <= second["mse_difference"] <= second["mse_difference_high"]
    width = second["mse_difference_high"] - second["mse_difference_low"]
    assert width < (first["mse_high"] - first["mse_low"]) / 2
    assert measured(files, users) == [first, second]


def test_files_without_items_or_of_others_are_refused(tmp_path: Path) -> None:
    silent = recommender(tmp_path / "silent.onnx", TRUE, how=None)
    assert refused([silent]) == (
        f"The card of {silent} does not say which items are rated, which recommendation needs: take a model that "
        "edgekit trained and converted."
    )
    other = recommender(tmp_path / "other.onnx", TRUE, output="guess")
    assert refused([other]) == f"{other}: A recommender has an output 'reconstruction'; the file has: guess, score."
    fine = recommender(tmp_path / "fine.onnx", TRUE)
    fewer = recommender(tmp_path / "fewer.onnx", TRUE, how=replace(HOW, items=("7", "2", "3", "6")))
    assert refused([fine, fewer]) == (
        "The files know different items, so that they foretell different ratings; expected files of one model: "
        "evaluate them apart."
    )
    strange = data_of((["8", "9"], [4, 1], [False, True]))
    assert refused([fine], strange) == (
        "The users have no hidden rating of an item that the model knows; give ratings of the items that it was "
        "trained on, by users with two or more."
    )
    texts = Dataset(name="texts", items=["a"])
    assert refused([fine], texts) == (
        "texts is not what recommendation is measured on; expected ratings: movielens or a .csv with the columns user, "
        "item and rating."
    )
    with pytest.raises(DataError) as caught:
        errors_of(np.zeros(3), np.asarray(USERS.items[0]), HOW)
    assert str(caught.value) == (
        "A recommender's output has the shape (3,) for one user; expected a rating for each of its 4 items."
    )


def test_the_data_tell_the_task_and_are_true(tmp_path: Path) -> None:
    assert task_of([recommender(tmp_path / "r.onnx", TRUE, task=None)], USERS) == "recommendation"
    require_truth(USERS)


def test_an_item_mean_that_is_always_right_gives_no_ratio() -> None:
    row = errors_of(np.array(TRUE), np.asarray(data_of((["2"], [3], [True])).items[0]), HOW)
    result = evaluate_recommendations(np.array([row]))
    assert (result.mse, result.item_mean_mse, result.mse_ratio) == (0.25, 0, None)
    assert "mse_ratio" not in result.metrics()


def test_compare_pairs_all_outputs(tmp_path: Path) -> None:
    files = [recommender(tmp_path / f"{name}.onnx", values) for name, values in (("t", TRUE), ("m", MEANS))]
    (entry,) = compare(files[0], files[1:], USERS).entries
    assert {o.name: o.metrics()["max_abs"] for o in entry.outputs} == pytest.approx({"reconstruction": 0.5, "score": 0})


def test_the_best_that_are_not_rated_yet_come_first() -> None:
    user = np.asarray(data_of((["2", "9"], [5, 1], [False, False])).items[0])
    found = best_unseen(np.array([0.2, 1.0, 0.9, 0.2]), user, HOW, 3)
    assert [item.item for item in found] == ["3", "1", "4"]
    assert [item.rating for item in found] == pytest.approx([4.6, 1.8, 1.8])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "my.csv"
    path.write_text("title,rating\nAlien,5\n")
    return path


def test_the_demo_tells_unseen_titles_with_ratings(tmp_path: Path, mine: Path) -> None:
    file = recommender(tmp_path / "r.onnx", TRUE)
    done = edgekit("demo", "recommend", file, "--ratings", mine, "--top", 2, "--json", "-")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["results"]
    assert (row["user"], row["rated"], row["format"]) == ("", 1, "onnx")
    assert row["error"] == pytest.approx(4 * 0.2)
    assert [item["title"] for item in row["recommended"]] == ["Matrix, The (1999)", "Alien Nation (1988)"]
    assert [item["rating"] for item in row["recommended"]] == pytest.approx([4.6, 1])
    seen = edgekit("demo", "recommend", file, "--ratings", mine)
    assert "Recommended by 1 ratings" not in seen.stdout
    assert "Recommended by 1 rating" in seen.stdout
    assert seen.stdout.splitlines()[-1] == "At the ratings given it is off by 0.80 (root mean square)."
    assert "Alien (1979)" not in seen.stdout


def test_the_demo_asks_for_one_of_several_users(tmp_path: Path) -> None:
    file, table = recommender(tmp_path / "r.onnx", TRUE), tmp_path / "all.csv"
    table.write_text("user,item,rating\nann,1,5\nbob,2,4\nbob,3,4\n")
    assert recommend(file, table, user="bob").rated == 2
    messages = []
    for user in (None, "bobb"):
        with pytest.raises(InputError) as caught:
            recommend(file, table, user=user)
        messages.append(str(caught.value))
    assert messages == [
        f"{table} has ratings by 2 users; choose one with --user.",
        f"{table} has no user 'bobb'; choose one of 2, such as bob.",
    ]
    table.write_text("user,item,rating\n" + "".join(f"u{number},1,5\n" for number in range(120)))
    with pytest.raises(InputError) as caught:
        recommend(file, table, user="nobody")
    assert str(caught.value) == f"{table} has no user 'nobody'; choose one of 120, such as u0, u1, u2."
    table.write_text("item,rating\n1,5\n")
    with pytest.raises(InputError) as caught:
        recommend(file, table, user="bob")
    assert str(caught.value) == f"{table} has no user 'bob'; it has no column of users: leave --user out."


def test_the_demo_says_where_everything_is_rated(tmp_path: Path) -> None:
    file, table = recommender(tmp_path / "r.onnx", TRUE), tmp_path / "all.csv"
    table.write_text("item,rating\n1,5\n2,4\n3,4\n4,1\n")
    done = edgekit("demo", "recommend", file, "--ratings", table)
    assert (done.returncode, done.stdout) == (
        0,
        f"All 4 items that {file} knows are rated; none is left to recommend.\n",
    )


def test_names_of_a_misspelt_user_are_compared_and_listed_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.csv"
    names = ["u" * 1000, *(f"u{number}" for number in range(30_000))]
    path.write_text("user,item,rating\n" + "".join(f"{name},1,3\n" for name in names))
    compared: list[str] = []
    monkeypatch.setattr(difflib, "get_close_matches", lambda _, known, **__: compared.extend(known) or [])
    with pytest.raises(InputError) as caught:
        recommend(recommender(tmp_path / "r.onnx", [0.5] * 4), path, user="zed")
    assert str(caught.value) == f"{path} has no user 'zed'; choose one of 30,001, such as {'u' * 60}…, u0, u1."
    assert compared == names[1:20_000]


def test_the_demo_refuses_other_models(tmp_path: Path, mine: Path) -> None:
    messages = []
    for name, changes in (("f", {"task": "forecasting"}), ("s", {"how": None}), ("o", {"output": "guess"})):
        with pytest.raises((InputError, DataError)) as caught:
            recommend(recommender(tmp_path / f"{name}.onnx", TRUE, **changes), mine)
        messages.append(str(caught.value).replace(str(tmp_path), ""))
    assert messages == [
        "/f.onnx is for forecasting; expected a model for recommendation.",
        "The card of /s.onnx does not say which items are rated; expected a model that edgekit trained on ratings.",
        "A recommender has an output 'reconstruction'; /o.onnx has: guess, score.",
    ]


def test_predict_tells_the_best_of_each_user(tmp_path: Path, mine: Path) -> None:
    file, table = recommender(tmp_path / "r.onnx", TRUE), tmp_path / "all.csv"
    table.write_text("user,item,rating\nann,1,5\nbob,2,4\n")
    report = predict(file, [table, mine])
    assert [p.source for p in report.predictions] == [f"{table}[ann]", f"{table}[bob]", str(mine)]
    assert [p.said["recommended"] for p in report.predictions] == ["Alien (1979)"] + 2 * ["Matrix, The (1999)"]
    assert report.table()[1] == ["input", "recommended", "rating"]
