"""What counting words reaches on labelled texts: python benchmarks/sentiment_baseline.py [imdb] [rt_polarity]

A logistic regression on TF-IDF of words and pairs of words, trained on the same training part as `bilstm_sentiment` and
tested on the same test part: a network that reads words in their order has this figure to beat.
"""

import argparse
import time
from typing import Any

from saving import save
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from edgekit.data import Part, open_data
from edgekit.measure.metrics import wilson_interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=["imdb", "rt_polarity"])
    rows = [baseline(name) for name in parser.parse_args().data]
    for row in rows:
        low, high = row["top1_low"], row["top1_high"]
        print(f"{row['data']}: {row['top1']:.2%} ({low:.2%} to {high:.2%}, {row['n']:,} texts), {row['seconds']} s")
    print(f"Wrote {save('sentiment_baseline', rows)}.")


def baseline(name: str) -> dict[str, Any]:
    """The share of test texts that is classified right."""
    train, test = (open_data(name, part=part, data_dir=None) for part in (Part.TRAIN, Part.EVALUATION))
    start = time.perf_counter()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LogisticRegression(C=10))
    model.fit(list(train), train.labels)
    right = int((model.predict(list(test)) == test.labels).sum())
    low, high = wilson_interval(right, len(test))
    figures = {"top1": right / len(test), "top1_low": low, "top1_high": high}
    return {"data": name, "n": len(test), "seconds": round(time.perf_counter() - start, 1), **figures}


if __name__ == "__main__":
    main()
