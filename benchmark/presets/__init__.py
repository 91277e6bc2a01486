"""Named settings, one YAML file per preset.

Its lines are `every_model` and models, each with fields of `benchmark.settings.Settings`, and `tried` and `search`,
which tell how they were chosen.
"""
