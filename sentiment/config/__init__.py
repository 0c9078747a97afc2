"""The one schema of a run: what is trained on which data, how, and (apart from its identity) on what machine.

Pure pydantic: reading a configuration loads neither torch nor any data.
"""

from sentiment.config.data import ColumnConfig, DataConfig, LabelConfig, TextConfig, VocabularyConfig
from sentiment.config.model import (
    AttentionConfig,
    BaselineConfig,
    CombinationConfig,
    ElmoConfig,
    EmbeddingConfig,
    ModelConfig,
)
from sentiment.config.run import OPERATIONAL_SECTIONS, RunConfig
from sentiment.config.section import Fraction, PositiveFloat, PositiveInt, Probability, Section
from sentiment.config.training import (
    CheckpointConfig,
    EarlyStoppingConfig,
    RuntimeConfig,
    TrackingConfig,
    TrainingConfig,
)

__all__ = [
    "OPERATIONAL_SECTIONS",
    "AttentionConfig",
    "BaselineConfig",
    "CheckpointConfig",
    "ColumnConfig",
    "CombinationConfig",
    "DataConfig",
    "EarlyStoppingConfig",
    "ElmoConfig",
    "EmbeddingConfig",
    "Fraction",
    "LabelConfig",
    "ModelConfig",
    "PositiveFloat",
    "PositiveInt",
    "Probability",
    "RunConfig",
    "RuntimeConfig",
    "Section",
    "TextConfig",
    "TrackingConfig",
    "TrainingConfig",
    "VocabularyConfig",
]
