"""Detectors that look once at an image: SSD, SSDLite and YOLO."""

from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.models.zoo.scene_preset import MOMENTUM, WIDTH, scenes
from edgekit.preprocessing import Resize


def _lite(default_size: int) -> tuple[Argument, ...]:
    return (
        WIDTH,
        Argument(name="size", default=default_size, low=64),
        Argument(name="classes", default=80),
        Argument(name="padding", default="same", choices=("same", "torch")),
        Argument(name="epsilon", default=1e-3, low=1e-7, high=1e-1),
        MOMENTUM,
        Argument(name="head", default="lite", choices=("lite", "full")),
        Argument(name="first_map", default="few", choices=("few", "all")),
    )


_COCO = TrainingPreset(
    data=None,
    epochs=200,
    batch_size=24,
    optimizer=Optimizer.SGD,
    learning_rate=1e-2,
    schedule=Schedule.COSINE,
    weight_decay=4e-5,
    boxes=BoxAugmentation(colour=0.5, crop=0.8, expand=4.0, mosaic=0.2, flip=True),
)

_MOBILENET_V2 = "Sandler et al. 2018, MobileNetV2, arXiv:1801.04381, section 6.2"


def _ssdlite(version: int, *, epochs: int, alpha: float, published: tuple[int, int, float], inner: str) -> ModelSpec:
    """On MobileNet ``version``; ``published`` are parameters, multiply-accumulates and mAP of the source."""
    parameters, macs, found = published
    return ModelSpec(
        name=f"ssdlite_mobilenet_v{version}",
        title=f"SSDLite on MobileNetV{version}",
        task="detection",
        builder=f"edgekit.models.ssdlite:on_mobilenet_v{version}",
        anchors="edgekit.models.ssd_anchors:ssdlite",
        backbone=f"mobilenet_v{version}",
        head=r"scores_\d+",
        channels=3,
        arguments=_lite(320),
        preprocess="tf",
        resize=Resize.STRETCH,
        presets={
            "small": scenes(epochs=epochs, learning_rate=2e-3, alpha=alpha, size=160, first_map="all"),
            "book": _COCO,
        },
        source=f"{_MOBILENET_V2}, table 6; anchors and additional maps: TensorFlow's published models",
        published=Published(
            parameters=parameters,
            macs=macs,
            map=found,
            map_data="COCO test-dev",
            tolerance=0.05,
            macs_tolerance=0.05,
        ),
        inner=rf"{inner}|extra_\d+_reduce|.*_depthwise",
    )


SPECS: tuple[ModelSpec, ...] = (
    _ssdlite(
        2,
        epochs=24,
        alpha=0.35,
        published=(4_300_000, 800_000_000, 0.221),
        inner=r"stem|block_\d+_(expand|depthwise)|head",
    ),
    _ssdlite(
        1,
        epochs=14,
        alpha=0.5,
        published=(5_100_000, 1_300_000_000, 0.222),
        inner=r"conv1|conv_dw_\d+",
    ),
    ModelSpec(
        name="ssd300_vgg16",
        title="SSD300 on VGG-16",
        task="detection",
        builder="edgekit.models.ssd300:build",
        anchors="edgekit.models.ssd_anchors:ssd300",
        backbone="vgg16",
        head=r"scores_\d+",
        channels=3,
        arguments=(
            WIDTH,
            Argument(name="size", default=300, low=96),
            Argument(name="classes", default=20),
            Argument(name="norm", default="none", choices=("none", "batch")),
            MOMENTUM,
            Argument(name="smallest", default=0.2, low=0.01, high=1),
            Argument(name="largest", default=0.88, low=0.01, high=2),
        ),
        preprocess="torch",
        resize=Resize.STRETCH,
        presets={
            "small": scenes(
                epochs=10, learning_rate=2e-3, alpha=0.125, size=128, norm="batch", smallest=0.3, largest=0.9
            ),
            "book": _COCO,
        },
        source="Liu et al. 2016, SSD: Single Shot MultiBox Detector, arXiv:1512.02325, section 3.1, table 7",
        published=Published(
            parameters=26_300_000, map=0.743, map_data="VOC2007, at an overlap of one half", tolerance=0.002
        ),
    ),
    ModelSpec(
        name="yolo_v1",
        title="YOLO, the first version",
        task="detection",
        builder="edgekit.models.yolo_v1:build",
        anchors="edgekit.models.yolo_grid:yolo_v1",
        head=r"classes(_values)?",
        channels=3,
        arguments=(
            WIDTH,
            Argument(name="size", default=448, low=64),
            Argument(name="classes", default=20),
            Argument(name="cell", default=64, low=8, high=64),
            Argument(name="boxes", default=2),
            Argument(name="depth", default="full", choices=("full", "tiny")),
            Argument(name="head", default="dense", choices=("dense", "conv")),
            Argument(name="units", default=4096),
            Argument(name="dropout", default=0.5, low=0, high=0.9),
            Argument(name="norm", default="none", choices=("none", "batch")),
            MOMENTUM,
            Argument(name="activation", default="leaky", choices=("leaky", "relu")),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={
            "small": scenes(
                epochs=20,
                learning_rate=1.5e-3,
                alpha=0.1875,
                size=128,
                cell=16,
                head="conv",
                norm="batch",
                activation="relu",
            ),
            "book": TrainingPreset(
                data=None,
                epochs=135,
                batch_size=64,
                optimizer=Optimizer.SGD,
                learning_rate=1e-3,  # the paper goes on to 1e-2 after some epochs, at which beginning would diverge
                schedule=Schedule.COSINE,
                weight_decay=5e-4,
                boxes=BoxAugmentation(colour=0.5, crop=0.8, expand=1.2, flip=True),
            ),
        },
        source="Redmon et al. 2016, You Only Look Once, arXiv:1506.02640, section 2, figure 3, table 1",
        published=Published(
            parameters=271_703_550,
            macs=20_095_000_000,
            map=0.634,
            map_data="VOC2007, at an overlap of one half",
            macs_tolerance=0.01,
            notes=(
                "the paper prints no number of parameters; this one follows from its figure 3. At four bytes each they "
                "take 1.01 GiB, and the page of its first weights says 1.0 GB.",
                "the 40.19 billion operations of Darknet's page, two for a multiply-accumulate, are the convolutions "
                "and the last layer of its yolov1.cfg. That has three boxes a cell, and in place of the paper's hidden "
                "dense layer a locally connected one of 115.6 million parameters, which was not counted.",
                "the paper learns the first 20 convolutions on ImageNet, at 224 pixels; here all start anew.",
            ),
        ),
    ),
)
