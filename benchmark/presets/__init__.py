"""Named settings: one YAML file a preset, each key a field of `benchmark.settings.Settings`."""
