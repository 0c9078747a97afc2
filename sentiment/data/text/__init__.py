"""From a tweet's text to its tokens."""
