"""Tables of ratings, a card's words on them, and a user's own ratings: what is read, and what is refused."""

import difflib
import gzip
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_ratings import HOW, data_of, recommender, tastes

from edgekit.artifact import attach_card, open_artifact
from edgekit.card import TensorSpec, dump_card, load_card
from edgekit.data import Part, item_digest, open_data
from edgekit.data.own_ratings import own_ratings
from edgekit.data.ratings_table import hidden_rows
from edgekit.errors import CardError, DataError
from edgekit.feeding import Feeder
from edgekit.ratings import UNRATED, Ratings, encode_user, hidden_of, is_user, user_of

INPUT = (TensorSpec(name="ratings", shape=(None, 4), dtype="float32"),)


def table(folder: Path, text: str, name: str = "stars.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path, part: Part | None = Part.TRAIN) -> str:
    with pytest.raises(DataError) as caught:
        open_data(str(path), part=part, data_dir=None) if part else own_ratings(path, HOW)
    return str(caught.value)


def test_users_are_divided_and_a_fifth_of_each_held_out_one_is_hidden(tmp_path: Path) -> None:
    path = tastes(tmp_path / "stars.csv")
    parts = {part: open_data(str(path), part=part, data_dir=None) for part in Part}
    train, test = parts[Part.TRAIN], parts[Part.EVALUATION]
    assert [len(parts[part]) for part in Part] == [53, 53, 7]
    assert [item_digest(user) for user in train] == [item_digest(user) for user in parts[Part.CALIBRATION]]
    users = [user for user in (*train, *test) if is_user(user)]
    assert len({tuple(user.tolist()) for user in users}) == 60  # nobody is in both
    assert sum(len(user) for user in users) == 60 * 9
    assert [int(user["hidden"].sum()) for user in users] == 53 * [0] + 7 * [2]
    assert train.catalogue is not None
    assert (train.catalogue.lowest, train.catalogue.highest) == (1, 5)
    assert train.catalogue.titles["i3"] == "Film 3"
    again = open_data(str(path), part=Part.EVALUATION, data_dir=None)
    assert [item_digest(user) for user in test] == [item_digest(user) for user in again]


def test_users_who_come_later_move_nobody_to_another_part(tmp_path: Path) -> None:
    few, many = (open_users(tmp_path, count) for count in (40, 60))
    assert few[Part.EVALUATION] < many[Part.EVALUATION]
    assert few[Part.TRAIN] < many[Part.TRAIN]
    assert not many[Part.TRAIN] & many[Part.EVALUATION]


def open_users(folder: Path, count: int) -> dict[Part, set[bytes]]:
    """Which of ``count`` users are in each part, by what they rated."""
    rows = "".join(f"u{user},i{item},{1 + (user + item) % 5}\n" for user in range(count) for item in (user, user + 1))
    (tmp := folder / f"{count}.csv").write_text(f"user,item,rating\n{rows}")
    parts = {part: open_data(str(tmp), part=part, data_dir=None) for part in (Part.TRAIN, Part.EVALUATION)}
    return {part: {np.asarray(user)["item"].tobytes() for user in data} for part, data in parts.items()}


def test_movielens_columns_and_titles_beside_the_table_are_read_from_gzip(tmp_path: Path) -> None:
    rows = "".join(f"{user},{item},{1 + (user + item) % 5},1\n" for user in range(5) for item in (10, 11))
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress(f"userId,movieId,rating,timestamp\n{rows}".encode()))
    (tmp_path / "movies.csv.gz").write_bytes(gzip.compress(b"movieId,title,genres\n10,Heat (1995),Crime\n"))
    data = open_data(str(tmp_path / "ratings.csv.gz"), part=Part.TRAIN, data_dir=None)
    assert data.catalogue is not None
    assert data.catalogue.titles == {"10": "Heat (1995)", "11": "11"}
    assert (len(data), data.name) == (4, "ratings")


def test_movielens_is_known(shared_data: Path) -> None:
    train, test = (open_data("movielens", part=part, data_dir=shared_data) for part in (Part.TRAIN, Part.EVALUATION))
    assert train.catalogue is not None
    assert (len(train), len(test), len(train.catalogue.titles)) == (477, 133, 9724)
    assert sum(len(np.asarray(user)) for data in (train, test) for user in data) == 100_836
    assert train.catalogue.titles["1"] == "Toy Story (1995)"


FIVE = "".join(f"u{user},a,{1 + user % 2}\nu{user},b,3\n" for user in range(5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item,rating\nu,a,4\nu,,3\n", "{}, line 3, has the item ''; expected a name or a number."),
        ("user,item,rating\n,a,4\nu,a,3\n", "{}, line 2, has the user ''; expected a name or a number."),
        ("user,item,rating\nu,a,good\n", "{}, line 2, has the rating 'good'; expected a number."),
        (
            "user,item,rating\nu,a,4\nu,b,inf\n",
            "{}, line 3, has the rating inf; expected a finite number: leave the line out.",
        ),
        (
            "user,item,rating\nu,a,4\nu,b,\n",
            "{}, line 3, has the rating ''; expected a number: fill it in or leave the line out.",
        ),
        (
            "user,item,rating\nu,a,4\nu,b,1e39\n",
            "{}, line 3, has the rating 1e+39; expected one from -1e+18 to 1e+18.",
        ),
        ("user,item,rating\nu,a,4\nv,a,4.000000001\n", "All ratings of {} are 4; expected different ones."),
        ("user,item,rating\nu,a,4\nv,a,4\n", "All ratings of {} are 4; expected different ones."),
        (
            "user,item,rating\nu,a,4\nu,b,3\nu,a,2\n",
            "{}, line 4, has the item 'a' of user 'u' once more; expected one rating of each.",
        ),
        (
            f"user,item,rating\nu,a,4\nu,{'b' * 131_000},3\n",
            f"{{}}, line 3, has the item '{'b' * 60}…' of 131,000 characters; expected 200 or fewer.",
        ),
        (
            "user,item,rating\nu,a,4\nv,a,3\n",
            "{} has ratings by 2 users; expected 5 or more, of which a fifth is held out.",
        ),
        (
            "user,item,rating\nu,a,4\nu,b,3\n",
            "{} has ratings by 1 user; expected 5 or more, of which a fifth is held out.",
        ),
        ("userId,movieId,score\nu,a,4\n", "{} lacks the column 'rating'; it has: userId, movieId, score."),
        ("user,film,rating\nu,a,4\n", "{} lacks the column 'item'; it has: user, film, rating."),
        ("who,item,rating\nu,a,4\n", "{} lacks the column 'user'; it has: who, item, rating."),
    ],
)  # fmt: skip
def test_tables_that_are_wrong_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path, text)
    assert refused(path) == message.format(path)


def test_one_long_id_does_not_lengthen_the_others(tmp_path: Path) -> None:
    rows = "".join(f"{user},{item},{1 + (user + item) % 5}\n" for user in range(100) for item in range(200))
    path = table(tmp_path, f"user,item,rating\n{rows}{'u' * 200},{'i' * 200},3\n")
    tracemalloc.start()
    open_data(str(path), part=Part.TRAIN, data_dir=None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000 * 200 * 4  # bytes, of an array of the items of all rows


def test_held_out_users_need_two_ratings(tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,rating\n" + "".join(f"u{user},a,{user + 1}\n" for user in range(5)))
    assert refused(path, Part.EVALUATION) == (
        f"No user of {path} who is held out has two ratings; expected one to show and one to hide: give more ratings."
    )


def test_titles_without_an_id_are_refused(tmp_path: Path) -> None:
    titles = table(tmp_path, "name,title\na,A\n", "titles.csv")
    path = table(tmp_path, f"user,item,rating\n{FIVE}")
    assert refused(path) == f"{titles} has the columns name, title; expected item or movieId, and title."


def test_which_ratings_are_hidden_depends_on_the_user_alone() -> None:
    assert hidden_rows(10, "ann", 0).tolist() == hidden_rows(10, "ann", 0).tolist()
    assert len({tuple(hidden_rows(10, user, 0).tolist()) for user in ("ann", "bob", "eve", "joe")}) > 1
    assert [len(hidden_rows(count, "ann", 0)) for count in (2, 7, 10, 100)] == [1, 1, 2, 20]


def test_a_user_becomes_an_input_without_what_is_hidden() -> None:
    user = user_of(np.array(["4", "9", "1"]), np.array([5, 1, 2]), np.array([False, False, True]))
    assert encode_user(user, HOW).tolist() == [UNRATED, UNRATED, UNRATED, 1]
    places, ratings = hidden_of(user, HOW)
    assert (places.tolist(), ratings.tolist()) == ([0], [0.25])
    fed = Feeder(INPUT, None, ratings=HOW).feed(user)
    assert fed["ratings"].tolist() == [-1, -1, -1, 1]


def test_ratings_off_the_scale_and_models_of_other_things_are_refused() -> None:
    user = user_of(np.array(["4"]), np.array([5.5]))
    with pytest.raises(DataError) as caught:
        Feeder(INPUT, None, ratings=HOW).feed(user)
    assert str(caught.value) == "A rating is 5.5; the model takes 1 to 5: give it on that scale."
    with pytest.raises(DataError) as caught:
        HOW.scaled([1e39])
    assert str(caught.value) == "A rating is inf; the model takes 1 to 5: give it on that scale."
    with pytest.raises(DataError) as caught:
        Feeder(INPUT, None).feed(user)
    assert str(caught.value) == (
        "The data holds ratings and the model's card does not say how they become its input: take a model that was "
        "trained on ratings by edgekit, or attach a card with its items."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": (), "titles": (), "means": ()}, "A recommender knows 1 to 1,000,000 items; got 0."),
        ({"items": ("1", "1", "3", "4")}, "A recommender's card has an item twice; expected each once."),
        (
            {"items": ("1", "x" * 201, "3", "4")},
            f"A recommender's card has the item '{'x' * 60}…' of 201 characters; expected 200 or fewer.",
        ),
        ({"titles": ("A",)}, "A recommender's card has 4 items and 1 titles; expected as many."),
        ({"means": (3.0,)}, "A recommender's card has 4 items and 1 means; expected as many."),
        (
            {"lowest": 5.0},
            "Ratings go from 5 to 5 in a recommender's card; expected two ends, the lower one first.",
        ),
        (
            {"lowest": -1e308, "highest": 1e308},
            "Ratings go from -1e+308 to 1e+308 in a recommender's card; expected ends from -1e+18 to 1e+18 that are "
            "different numbers in float32.",
        ),
        (
            {"lowest": 5.0, "highest": 5.0000000001},
            "Ratings go from 5.0 to 5.0000000001 in a recommender's card; expected ends from -1e+18 to 1e+18 that are "
            "different numbers in float32.",
        ),
        ({"mean": 7.0}, "A mean rating in a recommender's card is not between 1 and 5."),
        ({"means": (0.0, 3.0, 3.0, 3.0)}, "A mean rating in a recommender's card is not between 1 and 5."),
    ],
)
def test_cards_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError) as caught:
        replace(HOW, **changes)
    assert str(caught.value) == message


def test_a_card_travels_in_the_file_and_must_fit_it(tmp_path: Path) -> None:
    path = recommender(tmp_path / "r.onnx", [0.5] * 4)
    card = open_artifact(path).card
    assert card.ratings == HOW
    assert card.unknown() == ()
    assert load_card(dump_card(card)) == card
    more = replace(HOW, items=(*HOW.items, "5"), titles=(*HOW.titles, "Heat"), means=(*HOW.means, 3))
    with pytest.raises(CardError) as caught:
        attach_card(path, replace(card, ratings=more))
    assert str(caught.value) == "The card's ratings have 5 items; the model's input 'ratings' is any x 4 float32."


def test_own_ratings_are_found_by_id_and_by_titles_written_otherwise(tmp_path: Path) -> None:
    path = table(tmp_path, "title,rating\nthe matrix,5\nBig (1988),2\nALIEN,4\n3,1\n")
    ((user, ratings),) = own_ratings(path, HOW)
    assert (user, ratings["item"].tolist(), ratings["rating"].tolist()) == ("", ["1", "4", "2", "3"], [5, 2, 4, 1])
    path = table(tmp_path, "user,item,rating\nann,1,5\nbob,2,4\nann,Big,3\n")
    assert {user: ratings["item"].tolist() for user, ratings in own_ratings(path, HOW)} == {
        "ann": ["1", "4"],
        "bob": ["2"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,rating\na,1\n", "{} has the columns name, rating; expected rating, and title or item."),
        ("title,stars\na,1\n", "{} has the columns title, stars; expected rating, and title or item."),
        ("title,rating\nBig,6\n", "{}, line 2, has the rating 6; expected 1 to 5."),
        ("title,rating\nBig,1e39\n", "{}, line 2, has the rating 1e+39; expected 1 to 5."),
        ("title,rating\nBig,nan\n", "{}, line 2, has the rating nan; expected 1 to 5."),
        ("title,rating\nBig,3\n4,2\n", "{}, line 3, has the title '4' once more; expected one rating of each."),
        (
            "title,rating\nNation,3\n",
            "{}, line 2, has the title 'Nation', which the model does not know; did you mean 'Alien Nation (1988)'?",
        ),
        (
            "title,rating\nAllien,3\n",
            "{}, line 2, has the title 'Allien', which the model does not know; did you mean 'Alien (1979)'?",
        ),
        (
            "title,rating\nZardoz,3\n",
            "{}, line 2, has the title 'Zardoz', which the model does not know; leave the line out.",
        ),
    ],
)
def test_own_ratings_that_are_wrong_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path, text)
    assert refused(path, None) == message.format(path)


def test_a_title_that_is_a_number_is_no_id(tmp_path: Path) -> None:
    how = replace(HOW, titles=("Quiz Show (1994)", "1 (2007)", *HOW.titles[2:]))
    ((_, ratings),) = own_ratings(table(tmp_path, "title,rating\n1,5\n"), how)
    assert ratings["item"].tolist() == ["2"]
    ((_, ratings),) = own_ratings(table(tmp_path, "item,rating\n1,5\n"), how)
    assert ratings["item"].tolist() == ["1"]


def test_a_title_of_two_items_is_refused(tmp_path: Path) -> None:
    how = replace(HOW, titles=("Emma (1932)", "Emma (1996)", "X", "Y"))
    path = table(tmp_path, "title,rating\nemma,3\n")
    with pytest.raises(DataError) as caught:
        own_ratings(path, how)
    assert str(caught.value) == (
        f"{path}, line 2, has the title 'emma', which several items of the model are called; did you mean 'Emma "
        "(1932)' or 'Emma (1996)'?"
    )
    assert own_ratings(table(tmp_path, "title,rating\nEmma (1996),3\n"), how)[0][1]["item"].tolist() == ["2"]


def many(titles: Sequence[str]) -> Ratings:
    """A card of items with these ``titles``."""
    items = tuple(map(str, range(len(titles))))
    return replace(HOW, items=items, titles=tuple(titles), means=len(titles) * (3.0,))


@pytest.mark.parametrize(
    ("titles", "title", "sentence"),
    [
        (300_000 * ["Emma"], "emma", "which several items of the model are called; did you mean 'Emma'?"),
        ([f"{n:x} film {n * n}" for n in range(300_000)], "flim", "which the model does not know; "),
        (["x" + 100_000 * " " + "y"], "a" + 100_000 * " " + "b", "which the model does not know; leave the line out."),
        ([120_000 * "ab"], 60_000 * "ba", "which the model does not know; leave the line out."),
    ],
    ids=["equal titles", "many titles", "many spaces", "long titles"],
)
def test_what_a_title_is_compared_with_is_bounded(
    tmp_path: Path, titles: list[str], title: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    alike = difflib.get_close_matches
    monkeypatch.setattr(difflib, "get_close_matches", lambda a, b, **how: compared.append(len(b)) or alike(a, b, **how))
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        own_ratings(table(tmp_path, f"title,rating\n{title},3\n"), many(titles))
    assert sentence in str(caught.value)
    assert sum(compared) <= 20_000
    assert time.process_time() - start < 20  # minutes where each equal title or space is counted with those before it


def test_a_subset_keeps_the_catalogue() -> None:
    data = data_of((["1"], [4], [False]), (["2"], [3], [False]))
    assert data.subset([1]).catalogue is data.catalogue


def test_ratings_at_the_ends_of_a_scale_that_float32_rounds_are_on_it(tmp_path: Path) -> None:
    """0.7 is less in float32, 1.1 is more, and 4.7 less."""
    for lowest, highest in ((0.7, 4.7), (1.1, 5.3)):
        how = replace(HOW, lowest=lowest, highest=highest, means=(lowest, highest, 3, 3))
        user = user_of(np.array(["1", "2"]), np.array([lowest, highest]))
        assert encode_user(user, how)[:2].tolist() == pytest.approx([0, 1], abs=1e-6)
        path = table(tmp_path, f"item,rating\n1,{lowest}\n2,{highest}\n")
        assert len(own_ratings(path, how)[0][1]) == 2
