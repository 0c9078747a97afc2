"""The one schema of a run: what is trained on which data, how, and (apart from its identity) on what machine.

Pure pydantic: reading a configuration loads neither torch nor any data.
"""

from sentiment.config.data import (
    PARTS,
    ColumnConfig,
    DataConfig,
    ExtraTable,
    LabelConfig,
    LabelledTable,
    PartName,
    TextConfig,
    VocabularyConfig,
)
from sentiment.config.model import (
    AttentionConfig,
    CombinationConfig,
    ElmoConfig,
    EmbeddingConfig,
    ModelConfig,
)
from sentiment.config.pretraining import PRETRAINED, PRETRAINED_MODELS, PretrainingConfig
from sentiment.config.run import OPERATIONAL_SECTIONS, RunConfig
from sentiment.config.section import Fraction, PositiveFloat, PositiveInt, Probability, Section
from sentiment.config.training import (
    CheckpointConfig,
    EarlyStoppingConfig,
    RuntimeConfig,
    TrackingConfig,
    TrainingConfig,
)
from sentiment.config.vectors import NAMED_VECTORS, PUBLISHED_VECTORS, TRAINED_VECTORS, TextFile, VectorsConfig

__all__ = [
    "NAMED_VECTORS",
    "OPERATIONAL_SECTIONS",
    "PARTS",
    "PRETRAINED",
    "PRETRAINED_MODELS",
    "PUBLISHED_VECTORS",
    "TRAINED_VECTORS",
    "AttentionConfig",
    "CheckpointConfig",
    "ColumnConfig",
    "CombinationConfig",
    "DataConfig",
    "EarlyStoppingConfig",
    "ElmoConfig",
    "EmbeddingConfig",
    "ExtraTable",
    "Fraction",
    "LabelConfig",
    "LabelledTable",
    "ModelConfig",
    "PartName",
    "PositiveFloat",
    "PositiveInt",
    "PretrainingConfig",
    "Probability",
    "RunConfig",
    "RuntimeConfig",
    "Section",
    "TextConfig",
    "TextFile",
    "TrackingConfig",
    "TrainingConfig",
    "VectorsConfig",
    "VocabularyConfig",
]
