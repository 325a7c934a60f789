"""Widths of a stack of layers."""

from gossamer.models.graph.widths import widths


def test_layers_meet_and_the_ends_are_those_asked_for():
    assert widths(5, 4, 3, 1) == [(5, 3)]
    assert widths(5, 4, 3, 4) == [(5, 4), (4, 4), (4, 4), (4, 3)]
