"""May one distil from this model: terms as data, the answer with its reasons, and signed grants."""
