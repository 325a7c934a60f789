from hypothesis import settings

# A loaded machine must not fail a test; the first example of a run may also import what it uses.
settings.register_profile("graph", deadline=None, max_examples=40)
settings.load_profile("graph")
