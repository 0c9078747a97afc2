from sentiment.api import SentimentClassifier as SentimentClassifier
from sentiment.api import load as load
from sentiment.api import train as train

__version__: str
