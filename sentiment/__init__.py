"""From raw tweets to trained, resumable and honestly measured sentiment classifiers."""
