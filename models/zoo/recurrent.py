"""Recurrent networks that write, forecast, judge and answer."""

from dataclasses import replace

from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset

_BOOK = "Y. Liu and S. Mehta, Hands-On Deep Learning Architectures with Python, Packt 2019, chapter 6"
_BOOK_TOKENS = 57
"""War and Peace in lower case: 56 characters and one for all others."""
_LENGTH = Argument(name="length", default=100)
_TOKENS = Argument(name="tokens", default=_BOOK_TOKENS, low=2)
_UNITS = Argument(name="units", default=800)
_LAYERS = Argument(name="layers", default=2, high=8)
_DROPOUT = Argument(name="dropout", default=0.0, low=0, high=0.95)

_WRITING = TrainingPreset(
    data="warpeace",
    epochs=20,
    batch_size=64,
    optimizer=Optimizer.ADAM,
    learning_rate=2e-3,
    schedule=Schedule.COSINE,
    clip=1.0,
    epoch_steps=300,
    validation_fraction=0.05,
    arguments={"units": 384, "layers": 1, "length": 128},
)

_ANSWERS = (
    Argument(name="units", default=128),
    Argument(name="length", default=7),
    Argument(name="tokens", default=12, low=2),
    Argument(name="answer_length", default=4),
    Argument(name="answer_tokens", default=11, low=2),
)

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="char_rnn",
        title="Characters by simple recurrent layers",
        task="text-generation",
        builder="edgekit.models.recurrent:char_rnn",
        arguments=(_UNITS, _LAYERS, _LENGTH, _TOKENS, _DROPOUT),
        presets={
            "small": replace(_WRITING, learning_rate=1e-3),
            "book": replace(_WRITING, epochs=100, learning_rate=1e-3, arguments={}),
        },
        source=f"{_BOOK}; A. Karpathy 2015, The Unreasonable Effectiveness of Recurrent Neural Networks, of plain RNN "
        "cells",
        published=Published(parameters=2_012_857),
    ),
    ModelSpec(
        name="char_lstm",
        title="Characters by LSTMs",
        task="text-generation",
        builder="edgekit.models.recurrent:char_lstm",
        arguments=(_UNITS, _LAYERS, replace(_LENGTH, default=160), _TOKENS, _DROPOUT),
        presets={"small": _WRITING, "book": replace(_WRITING, epochs=100, learning_rate=1e-3, arguments={})},
        source=f"{_BOOK}; A. Karpathy 2015, The Unreasonable Effectiveness of Recurrent Neural Networks, of LSTM cells",
        published=Published(parameters=7_914_457),
    ),
    ModelSpec(
        name="gru_forecast",
        title="The next value of a series by a GRU",
        task="forecasting",
        builder="edgekit.models.recurrent:gru_forecast",
        arguments=(
            Argument(name="units", default=256),
            Argument(name="length", default=10),
            Argument(name="columns", default=1),
        ),
        presets={
            "small": TrainingPreset(
                data="dow_jones",
                epochs=30,
                batch_size=64,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-3,
                schedule=Schedule.COSINE,
                clip=1.0,
            ),
            "book": TrainingPreset(
                data="dow_jones", epochs=100, batch_size=64, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source=f"{_BOOK}: a GRU of 256 units on windows of 10 days; Cho et al. 2014, arXiv:1406.1078, as Keras has it",
        published=Published(
            parameters=199_169,
            notes=(
                "the book prints a test MSE of 5.2e-5 of the scaled price without a baseline. On the days of 2017 "
                "saying that nothing changes has 2.2e-5, so the MSE alone says nothing: what counts is the ratio to it",
            ),
        ),
    ),
    ModelSpec(
        name="bilstm_sentiment",
        title="What a text feels, by an LSTM in each direction",
        task="text-classification",
        builder="edgekit.models.recurrent:bilstm_sentiment",
        arguments=(
            Argument(name="units", default=128),
            Argument(name="embedding", default=128),
            Argument(name="length", default=200),
            Argument(name="tokens", default=10_000, low=3, high=1_000_000, limit=True),
            Argument(name="classes", default=2, low=2),
            Argument(name="word_dropout", default=0.0, low=0, high=0.95),
            Argument(name="dropout", default=0.5, low=0, high=0.95),
        ),
        presets={
            "small": TrainingPreset(
                data="imdb",
                epochs=20,
                batch_size=64,
                optimizer=Optimizer.ADAM,
                learning_rate=1e-3,
                schedule=Schedule.COSINE,
                clip=1.0,
                patience=6,
                arguments={"word_dropout": 0.3},
            ),
            "book": TrainingPreset(data="imdb", epochs=10, batch_size=32, optimizer=Optimizer.ADAM, learning_rate=1e-3),
        },
        source=f"{_BOOK}: embeddings of 128 and two LSTMs of 128 units; Schuster and Paliwal 1997, Bidirectional "
        "recurrent neural networks",
        published=Published(
            parameters=1_543_682,
            notes=(
                "counting words is better on so few texts: a logistic regression on TF-IDF of words and pairs of "
                "words, learned from the same 4,000 reviews, is right on 88.3 % of the same test part "
                "(`benchmarks/sentiment_baseline.py`)",
            ),
        ),
    ),
    ModelSpec(
        name="seq2seq",
        title="Answers of several characters to several, by an encoder and a decoder",
        task="sequence-to-sequence",
        builder="edgekit.models.recurrent:seq2seq",
        arguments=_ANSWERS,
        presets={
            "small": TrainingPreset(
                data="sums",
                epochs=40,
                batch_size=256,
                optimizer=Optimizer.ADAM,
                learning_rate=4e-3,
                schedule=Schedule.COSINE,
                clip=1.0,
                validation_fraction=0.05,
            ),
            "book": TrainingPreset(
                data="sums", epochs=200, batch_size=128, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source="Cho et al. 2014, arXiv:1406.1078, where one vector passes from encoder to decoder, of LSTM cells; the "
        "task: Zaremba and Sutskever 2014, Learning to execute",
        published=Published(parameters=205_195),
    ),
    ModelSpec(
        name="vec2seq",
        title="Words from one vector",
        task="sequence-to-sequence",
        builder="edgekit.models.recurrent:vec2seq",
        arguments=(
            _ANSWERS[0],
            replace(_ANSWERS[1], default=4),
            replace(_ANSWERS[2], default=11),
            replace(_ANSWERS[3], default=6),
            replace(_ANSWERS[4], default=32),
        ),
        presets={
            "small": TrainingPreset(
                data="number_names",
                epochs=20,
                batch_size=64,
                optimizer=Optimizer.ADAM,
                learning_rate=2e-3,
                schedule=Schedule.COSINE,
                clip=1.0,
            ),
            "book": TrainingPreset(
                data="number_names", epochs=50, batch_size=64, optimizer=Optimizer.ADAM, learning_rate=1e-3
            ),
        },
        source="An LSTM that one vector is given to at every step; Karpathy 2015, one to many",
        published=Published(parameters=141_472),
    ),
)
