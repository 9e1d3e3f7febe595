"""The report's pictures. One file a picture, each drawn at a wide and a narrow size."""
