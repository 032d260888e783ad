"""Text becomes numbers: sentiment, signals and severity, their training and evaluation."""
