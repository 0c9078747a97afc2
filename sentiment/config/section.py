"""What all sections of a configuration have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

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

    @model_validator(mode="before")
    @classmethod
    def _texts_can_be_written_down(cls, values: Any) -> Any:
        """A file name in another encoding reaches Python as a text that no JSON keeps, so that no run would have it."""
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
                raise ValueError(f"{name} = {value!r} is not UTF-8; rename what it names")
        return values
