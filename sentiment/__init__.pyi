from sentiment.model import Model as Model
from sentiment.model import load as load
from sentiment.model import train as train

__version__: str
