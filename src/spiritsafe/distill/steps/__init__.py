"""The seven stages, one file each; ``distill.pipeline`` runs them in order."""
