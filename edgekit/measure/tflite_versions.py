"""The newest version of each builtin operator that TFLite engines load; an operator that is not listed is refused.

Measured by ``benchmarks/tflite_operator_versions.py`` with versions 1 to 20, and of types and microcontrollers by
``benchmarks/tflite_types.py``, on x86-64 Linux.
"""

# tflite-runtime 2.14.0
TFLITE_RUNTIME_2_14 = {
    "ADD": 5, "AVERAGE_POOL_2D": 3, "CONCATENATION": 4, "CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "DEPTH_TO_SPACE": 2,
    "DEQUANTIZE": 5, "EMBEDDING_LOOKUP": 3, "FLOOR": 1, "FULLY_CONNECTED": 10, "HASHTABLE_LOOKUP": 1,
    "L2_NORMALIZATION": 2, "L2_POOL_2D": 1, "LOCAL_RESPONSE_NORMALIZATION": 1, "LOGISTIC": 3, "LSH_PROJECTION": 1,
    "LSTM": 4, "MAX_POOL_2D": 3, "MUL": 7, "RELU": 3, "RELU_N1_TO_1": 1, "RELU6": 3, "RESHAPE": 1,
    "RESIZE_BILINEAR": 4, "RNN": 3, "SOFTMAX": 3, "SPACE_TO_DEPTH": 2, "SVDF": 4, "TANH": 3, "SKIP_GRAM": 1,
    "EMBEDDING_LOOKUP_SPARSE": 1, "PAD": 4, "UNIDIRECTIONAL_SEQUENCE_RNN": 3, "GATHER": 6, "BATCH_TO_SPACE_ND": 4,
    "SPACE_TO_BATCH_ND": 4, "TRANSPOSE": 6, "MEAN": 3, "SUB": 5, "DIV": 2, "SQUEEZE": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 4, "STRIDED_SLICE": 8, "BIDIRECTIONAL_SEQUENCE_RNN": 3, "EXP": 2, "TOPK_V2": 3,
    "SPLIT": 4, "LOG_SOFTMAX": 2, "BIDIRECTIONAL_SEQUENCE_LSTM": 3, "CAST": 5, "PRELU": 1, "MAXIMUM": 4, "ARG_MAX": 3,
    "MINIMUM": 4, "LESS": 3, "NEG": 1, "PADV2": 4, "GREATER": 2, "GREATER_EQUAL": 3, "LESS_EQUAL": 2, "SELECT": 4,
    "SLICE": 6, "SIN": 1, "TRANSPOSE_CONV": 4, "SPARSE_TO_DENSE": 3, "TILE": 3, "EXPAND_DIMS": 1, "EQUAL": 4,
    "NOT_EQUAL": 3, "LOG": 1, "SUM": 2, "SQRT": 1, "RSQRT": 2, "SHAPE": 1, "POW": 1, "ARG_MIN": 3, "FAKE_QUANT": 2,
    "REDUCE_PROD": 2, "REDUCE_MAX": 3, "PACK": 4, "LOGICAL_OR": 1, "ONE_HOT": 1, "LOGICAL_AND": 1, "LOGICAL_NOT": 1,
    "UNPACK": 4, "REDUCE_MIN": 3, "FLOOR_DIV": 3, "REDUCE_ANY": 1, "SQUARE": 1, "ZEROS_LIKE": 1, "FILL": 4,
    "FLOOR_MOD": 2, "RANGE": 2, "RESIZE_NEAREST_NEIGHBOR": 4, "LEAKY_RELU": 2, "SQUARED_DIFFERENCE": 2,
    "MIRROR_PAD": 3, "ABS": 5, "SPLIT_V": 2, "UNIQUE": 1, "CEIL": 1, "REVERSE_V2": 3, "ADD_N": 1, "GATHER_ND": 4,
    "COS": 1, "WHERE": 2, "RANK": 1, "ELU": 1, "REVERSE_SEQUENCE": 1, "MATRIX_DIAG": 1, "QUANTIZE": 3,
    "MATRIX_SET_DIAG": 1, "ROUND": 1, "HARD_SWISH": 1, "IF": 1, "WHILE": 1, "NON_MAX_SUPPRESSION_V4": 1,
    "NON_MAX_SUPPRESSION_V5": 1, "SCATTER_ND": 1, "SELECT_V2": 2, "DENSIFY": 1, "SEGMENT_SUM": 1, "BATCH_MATMUL": 4,
    "CUMSUM": 1, "CALL_ONCE": 1, "BROADCAST_TO": 3, "RFFT2D": 1, "CONV_3D": 1, "IMAG": 1, "REAL": 1, "COMPLEX_ABS": 1,
    "HASHTABLE": 1, "HASHTABLE_FIND": 1, "HASHTABLE_IMPORT": 1, "HASHTABLE_SIZE": 1, "REDUCE_ALL": 1,
    "CONV_3D_TRANSPOSE": 1, "VAR_HANDLE": 1, "READ_VARIABLE": 1, "ASSIGN_VARIABLE": 1, "BROADCAST_ARGS": 1,
    "RANDOM_STANDARD_NORMAL": 1, "BUCKETIZE": 1, "RANDOM_UNIFORM": 1, "MULTINOMIAL": 1, "GELU": 2,
    "DYNAMIC_UPDATE_SLICE": 1, "RELU_0_TO_1": 1, "UNSORTED_SEGMENT_PROD": 1, "UNSORTED_SEGMENT_MAX": 1,
    "UNSORTED_SEGMENT_SUM": 1, "ATAN2": 1, "UNSORTED_SEGMENT_MIN": 1, "SIGN": 2, "BITCAST": 1, "BITWISE_XOR": 1,
    "RIGHT_SHIFT": 1,
}  # fmt: skip

_NEW_IN = {
    (1, 0): {  # ai-edge-litert 1.0.1
        "CAST": 6, "CONV_2D": 8, "DEQUANTIZE": 6, "DILATE": 1, "DYNAMIC_UPDATE_SLICE": 2, "EMBEDDING_LOOKUP": 4,
        "FULLY_CONNECTED": 13, "GATHER": 7, "GATHER_ND": 5, "LOG": 2, "REDUCE_WINDOW": 1, "RSQRT": 3,
        "STABLEHLO_ADD": 1, "STABLEHLO_COMPOSITE": 1, "STABLEHLO_GATHER": 1, "STABLEHLO_MAXIMUM": 1,
        "STABLEHLO_MINIMUM": 1, "STABLEHLO_MULTIPLY": 1, "STABLEHLO_PAD": 1, "STABLEHLO_REDUCE_WINDOW": 1,
        "STABLEHLO_RNG_BIT_GENERATOR": 1, "STABLEHLO_SCATTER": 1, "TRANSPOSE_CONV": 5,
    },
    (1, 2): {  # 1.2.0
        "CAST": 7, "DYNAMIC_UPDATE_SLICE": 3, "STABLEHLO_AND": 1, "STABLEHLO_CASE": 1, "STABLEHLO_SHIFT_LEFT": 1,
        "TRANSPOSE": 7,
    },
    (1, 4): {"DYNAMIC_UPDATE_SLICE": 4},  # 1.4.0
    (2, 0): {"PAD": 5, "PADV2": 5, "SQRT": 2},  # 2.0.3
    (2, 1): {  # 2.1.6
        "ADD": 6, "CAST": 8, "CONCATENATION": 6, "COS": 2, "DEQUANTIZE": 8, "DYNAMIC_UPDATE_SLICE": 6,
        "EMBEDDING_LOOKUP": 5, "EQUAL": 5, "FULLY_CONNECTED": 14, "GELU": 3, "MUL": 8, "NOT_EQUAL": 4, "QUANTIZE": 6,
        "SIN": 2, "SLICE": 8, "SOFTMAX": 4, "TRANSPOSE": 9, "UNPACK": 5,
    },
    (2, 2): {  # 2.2.0, and 2.3.0 has the same
        "BROADCAST_TO": 4, "CAST": 9, "CONCATENATION": 7, "DEQUANTIZE": 9, "FILL": 5, "GATHER": 8, "GATHER_ND": 6,
        "PACK": 5, "PAD": 6, "PADV2": 6, "REVERSE_V2": 4, "SPLIT": 5, "SPLIT_V": 3, "UNPACK": 6,
    },
    (2, 3): {},
}  # fmt: skip

Version = tuple[int, int]


def _grown() -> dict[Version, dict[str, int]]:
    found, table = {}, TFLITE_RUNTIME_2_14
    for version, more in _NEW_IN.items():
        table = {**table, **more}
        found[version] = table
    return found


LITERT: dict[Version, dict[str, int]] = _grown()
"""By version of ai-edge-litert; one between two of these has what the older of them has."""

NEWER_TYPES: dict[str, Version] = {"bfloat16": (1, 0), "int2": (2, 1), "uint4": (2, 1), "float8": (2, 1)}
"""Types of tensors that tflite-runtime 2.14 refuses, and the version of ai-edge-litert that takes them."""

# tflite-micro 0.dev20261023182759, which does not look at versions
MICRO_OPERATORS = frozenset({
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D", "BATCH_MATMUL",
    "BATCH_TO_SPACE_ND", "BROADCAST_ARGS", "BROADCAST_TO", "CALL_ONCE", "CAST", "CEIL", "CONCATENATION", "CONV_2D",
    "COS", "CUMSUM", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "DYNAMIC_UPDATE_SLICE", "ELU",
    "EMBEDDING_LOOKUP", "EQUAL", "EXP", "EXPAND_DIMS", "FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED",
    "GATHER", "GATHER_ND", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "IF", "L2_NORMALIZATION", "L2_POOL_2D",
    "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC",
    "LOG_SOFTMAX", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PACK",
    "PAD", "PADV2", "PRELU", "QUANTIZE", "READ_VARIABLE", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
    "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT", "SELECT_V2", "SHAPE",
    "SIN", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQRT", "SQUARE",
    "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK", "VAR_HANDLE", "WHILE", "ZEROS_LIKE",
})  # fmt: skip
