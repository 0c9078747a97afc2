"""What all sections of a configuration have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=1_000_000)]
"""Of a vector."""
PositiveFloat = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of all sections: frozen, and strict about unknown keys, types and ranges."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
