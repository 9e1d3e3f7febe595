"""The teacher's distributions on disk: written once, read in every epoch, for the tokens they were taken on alone."""
