"""Stages that build a source of raw data; a plain `dvc repro` runs only the one params.yaml names."""
