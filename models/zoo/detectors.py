"""The detectors. Their "small" presets all learn scenes of handwritten digits."""

from dataclasses import replace

from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset, Value
from edgekit.preprocessing import Resize

_WIDTH = Argument(name="alpha", default=1.0, low=0.1, high=4)
_MOMENTUM = Argument(name="momentum", default=0.99, low=0, high=1)


def _lite(default_size: int) -> tuple[Argument, ...]:
    return (
        _WIDTH,
        Argument(name="size", default=default_size, low=64),
        Argument(name="classes", default=80),
        Argument(name="padding", default="same", choices=("same", "torch")),
        Argument(name="epsilon", default=1e-3, low=1e-7, high=1e-1),
        _MOMENTUM,
        Argument(name="head", default="lite", choices=("lite", "full")),
        Argument(name="first_map", default="few", choices=("few", "all")),
    )


def _scenes(*, epochs: int, learning_rate: float, **arguments: Value) -> TrainingPreset:
    """Scenes of digits in minutes on two cores; they are drawn turned, shaded and blurred already."""
    return TrainingPreset(
        data="digit_scenes",
        epochs=epochs,
        batch_size=32,
        optimizer=Optimizer.ADAM,
        learning_rate=learning_rate,
        schedule=Schedule.COSINE,
        boxes=BoxAugmentation(colour=0.3, crop=0.4, expand=1.3),
        validation_fraction=0.04,
        arguments={"momentum": 0.9, "classes": 10, **arguments},
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

_VOC = TrainingPreset(
    data=None,
    epochs=16,
    batch_size=2,
    optimizer=Optimizer.SGD,
    learning_rate=1e-3,
    schedule=Schedule.COSINE,
    weight_decay=5e-4,
    boxes=BoxAugmentation(flip=True),
)

_MOBILENET_V2 = "Sandler et al. 2018, MobileNetV2, arXiv:1801.04381, section 6.2"

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="ssdlite_mobilenet_v2",
        title="SSDLite on MobileNetV2",
        task="detection",
        builder="edgekit.models.ssdlite:on_mobilenet_v2",
        anchors="edgekit.models.ssd_anchors:ssdlite",
        backbone="mobilenet_v2",
        head=r"scores_\d+",
        channels=3,
        arguments=_lite(320),
        preprocess="tf",
        resize=Resize.STRETCH,
        presets={
            "small": _scenes(epochs=16, learning_rate=2e-3, alpha=0.35, size=160, first_map="all"),
            "book": _COCO,
        },
        source=f"{_MOBILENET_V2}, table 6; anchors and additional maps: TensorFlow's published models",
        published=Published(
            parameters=4_300_000,
            macs=800_000_000,
            map=0.221,
            map_data="COCO test-dev",
            tolerance=0.05,
            macs_tolerance=0.05,
        ),
        inner=r"stem|block_\d+_(expand|depthwise)|head|extra_\d+_(reduce|depthwise)|.*_depthwise",
    ),
    ModelSpec(
        name="ssdlite_mobilenet_v1",
        title="SSDLite on MobileNetV1",
        task="detection",
        builder="edgekit.models.ssdlite:on_mobilenet_v1",
        anchors="edgekit.models.ssd_anchors:ssdlite",
        backbone="mobilenet_v1",
        head=r"scores_\d+",
        channels=3,
        arguments=_lite(320),
        preprocess="tf",
        resize=Resize.STRETCH,
        presets={
            "small": _scenes(epochs=12, learning_rate=2e-3, alpha=0.25, size=160, first_map="all"),
            "book": _COCO,
        },
        source=f"{_MOBILENET_V2}, table 6, MNet V1 + SSDLite; anchors and additional maps as for MobileNetV2",
        published=Published(
            parameters=5_100_000,
            macs=1_300_000_000,
            map=0.222,
            map_data="COCO test-dev",
            tolerance=0.05,
            macs_tolerance=0.05,
        ),
        inner=r"conv1|conv_dw_\d+|extra_\d+_(reduce|depthwise)|.*_depthwise",
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
            _WIDTH,
            Argument(name="size", default=300, low=96),
            Argument(name="classes", default=20),
            Argument(name="norm", default="none", choices=("none", "batch")),
            _MOMENTUM,
            Argument(name="smallest", default=0.2, low=0.01, high=1),
            Argument(name="largest", default=0.88, low=0.01, high=2),
        ),
        preprocess="torch",
        resize=Resize.STRETCH,
        presets={
            "small": _scenes(
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
            _WIDTH,
            Argument(name="size", default=448, low=64),
            Argument(name="classes", default=20),
            Argument(name="cell", default=64, low=8, high=64),
            Argument(name="boxes", default=2),
            Argument(name="depth", default="full", choices=("full", "tiny")),
            Argument(name="head", default="dense", choices=("dense", "conv")),
            Argument(name="units", default=4096),
            Argument(name="dropout", default=0.5, low=0, high=0.9),
            Argument(name="norm", default="none", choices=("none", "batch")),
            _MOMENTUM,
            Argument(name="activation", default="leaky", choices=("leaky", "relu")),
        ),
        preprocess="unit",
        resize=Resize.STRETCH,
        presets={
            "small": _scenes(
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
    ModelSpec(
        name="faster_rcnn",
        title="Faster R-CNN on VGG-16",
        task="detection",
        builder="edgekit.models.faster_rcnn:build",
        anchors="edgekit.models.region_anchors:faster_rcnn",
        backbone="vgg16",
        head=r"scores|offsets",
        channels=3,
        arguments=(
            _WIDTH,
            Argument(name="size", default=600, low=64),
            Argument(name="classes", default=20),
            Argument(name="norm", default="none", choices=("none", "batch")),
            _MOMENTUM,
            Argument(name="stride", default=16, low=8, high=16),
            Argument(name="smallest", default=0.2133, low=0.01, high=1),
            Argument(name="largest", default=0.8533, low=0.01, high=2),
            Argument(name="regions", default=300, high=2000),
            Argument(name="bins", default=7, high=32),
            Argument(name="units", default=4096),
            Argument(name="dropout", default=0.5, low=0, high=0.9),
        ),
        preprocess="torch",
        resize=Resize.STRETCH,
        presets={
            "small": replace(
                _scenes(
                    epochs=9,
                    learning_rate=1e-3,
                    alpha=0.19,
                    size=128,
                    norm="batch",
                    stride=8,
                    smallest=0.16,
                    largest=0.36,
                    regions=48,
                    units=256,
                    dropout=0.0,
                ),
                batch_size=16,
            ),
            "book": _VOC,
        },
        source="Ren et al. 2015, Faster R-CNN, arXiv:1506.01497, sections 3.1 to 3.3, table 3",
        published=Published(
            parameters=137_078_239,
            map=0.732,
            map_data="VOC2007, at an overlap of one half",
            tolerance=0.001,
            notes=(
                "The parameters are those of the authors' published network; it gives offsets of the background too.",
                "Multiply-accumulates are those of an image and of one region; by default there are 300.",
                "Bins of regions are means of interpolated places, not maxima of cells, and images are square.",
            ),
        ),
    ),
    ModelSpec(
        name="rcnn",
        title="R-CNN on AlexNet",
        task="detection",
        builder="edgekit.models.rcnn:build",
        anchors="edgekit.models.region_anchors:rcnn",
        backbone="alexnet",
        head=r"scores|offsets",
        channels=3,
        arguments=(
            _WIDTH,
            Argument(name="size", default=224, low=24),
            Argument(name="classes", default=20),
            Argument(name="stem", default="imagenet", choices=("imagenet", "small")),
            Argument(name="norm", default="none", choices=("none", "batch")),
            _MOMENTUM,
            Argument(name="units", default=4096),
            Argument(name="dropout", default=0.5, low=0, high=0.9),
            Argument(name="search_size", default=500, low=32, high=2000),
            Argument(name="context", default=0.07, low=0, high=0.4),
            Argument(name="regions", default=2000, high=10_000),
        ),
        preprocess="torch",
        resize=Resize.STRETCH,
        presets={
            "small": replace(
                _scenes(
                    epochs=10,
                    learning_rate=1e-3,
                    alpha=0.375,
                    size=32,
                    stem="small",
                    norm="batch",
                    units=128,
                    dropout=0.0,
                    search_size=160,
                    context=0.15,
                    regions=150,
                ),
                batch_size=128,
            ),
            "book": replace(_VOC, batch_size=128, boxes=None),
        },
        source="Girshick et al. 2014, R-CNN, arXiv:1311.2524, sections 2 and 3, appendices A and C, table 2",
        published=Published(
            parameters=60_000_000,
            map=0.585,
            map_data="VOC2007, at an overlap of one half",
            tolerance=0.05,
            notes=(
                "The parameters are those that AlexNet's paper states; this one has a single tower and other outputs.",
                "Multiply-accumulates are those of one region.",
            ),
        ),
    ),
)
