"""A process in which Keras downloads a data set into its cache, so that TensorFlow stays out of the caller."""

from edgekit.workers import Json, Progress, serve


def download(request: Json, _progress: Progress) -> Json:
    """Fetch the set called ``request["name"]`` from where Keras keeps it; Keras checks and stores it."""
    import keras

    getattr(keras.datasets, request["name"]).load_data()
    return {}


if __name__ == "__main__":
    serve({"download": download})
