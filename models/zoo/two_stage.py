"""Detectors that propose regions first and then look at each: R-CNN and Faster R-CNN."""

from dataclasses import replace

from edgekit.models.box_augmentation import BoxAugmentation
from edgekit.models.spec import Argument, ModelSpec, Optimizer, Published, Schedule, TrainingPreset
from edgekit.models.zoo.scene_preset import MOMENTUM, WIDTH, scenes
from edgekit.preprocessing import Resize

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

SPECS: tuple[ModelSpec, ...] = (
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
            WIDTH,
            Argument(name="size", default=600, low=64),
            Argument(name="classes", default=20),
            Argument(name="norm", default="none", choices=("none", "batch")),
            MOMENTUM,
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
            "small": scenes(
                epochs=9,
                batch_size=16,
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
            WIDTH,
            Argument(name="size", default=224, low=24),
            Argument(name="classes", default=20),
            Argument(name="stem", default="imagenet", choices=("imagenet", "small")),
            Argument(name="norm", default="none", choices=("none", "batch")),
            MOMENTUM,
            Argument(name="units", default=4096),
            Argument(name="dropout", default=0.5, low=0, high=0.9),
            Argument(name="search_size", default=500, low=32, high=1024),
            Argument(name="context", default=0.07, low=0, high=0.4),
            Argument(name="regions", default=2000, high=5000),
        ),
        preprocess="torch",
        resize=Resize.STRETCH,
        presets={
            "small": scenes(
                epochs=10,
                batch_size=128,
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
