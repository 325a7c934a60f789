"""Readers of published data sets, one file a format: from paths to a Graph, Graphs or Images."""
