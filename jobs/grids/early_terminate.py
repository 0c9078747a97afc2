"""The section `early_terminate` of a grid's file, as W&B's schema has it: after how many epochs trials are compared."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sentiment.config import Section
from sentiment.errors import ConfigError
from sentiment.search_plan import Halving

Epochs = Annotated[int, Field(ge=1, le=1_000_000)]


class EarlyTerminate(Section):
    """Trials are compared after some epochs (bands), and only the best `1/eta` of them go on.

    As with W&B a trial's iterations are the rows that it logs of the metric: its epochs. `min_iter` begins the bands,
    each `eta` times the one before; `max_iter` ends them instead, and `s` is their number.
    """

    type: Literal["hyperband"]
    min_iter: Epochs | None = None
    max_iter: Epochs | None = None
    s: Epochs | None = None
    eta: Annotated[float, Field(ge=1.1)] = 3.0
    strict: bool = True
    """Whether a trial counts by its score at the band, or by its best so far. The default is that of W&B's schema."""

    @model_validator(mode="after")
    def _says_where_bands_are(self) -> Self:
        if (self.min_iter is None) == (self.max_iter is None):
            raise ValueError("needs either min_iter, or max_iter and s")
        if (self.max_iter is None) != (self.s is None):
            raise ValueError("s goes with max_iter: how many bands there are before it")
        return self

    def halving(self, epochs: int) -> Halving:
        """The rungs of a search whose longest trial has so many epochs.

        Raises:
            ConfigError: there is no band before that.
        """
        bands = [band for band in self._bands(epochs) if band < epochs]
        if not bands:
            raise ConfigError(f"early_terminate: no band lies below the {epochs} epochs of the runs")
        return Halving(epochs=bands, eta=self.eta, strict=self.strict)

    def _bands(self, epochs: int) -> list[int]:
        bands: set[int] = set()
        if self.min_iter is not None:
            band = float(self.min_iter)
            while int(band) < epochs:
                bands.add(int(band))
                band *= self.eta
        else:
            band = float(self.max_iter or 0)
            for _ in range(self.s or 0):
                band /= self.eta
                if band < 1:
                    break
                bands.add(int(band))
        return sorted(bands)
