from sentiment.model import SentimentClassifier as SentimentClassifier
from sentiment.model import load as load
from sentiment.model import train as train

__version__: str
