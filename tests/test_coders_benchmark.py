"""The benchmark of the coders goes on where it was stopped, with the params it was asked for."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.coders import begin, set_params


def test_a_row_that_was_stopped_leaves_no_param_to_the_next_run(tmp_path: Path) -> None:
    """A row under another head changes params.yaml while it runs."""
    gold = tmp_path / "data/gold/manifest.json"
    gold.parent.mkdir(parents=True)
    gold.write_text("{}")
    begin(tmp_path, 300, ["laat.epochs=2"])
    asked = (tmp_path / "params.yaml").read_text()
    set_params(tmp_path, ["transformer.pooling=max"])
    begin(tmp_path, 300, ["laat.epochs=2"])
    assert (tmp_path / "params.yaml").read_text() == asked
    held = YAML(typ="safe").load(asked)
    assert (held["synthetic"]["patients"], held["laat"]["epochs"]) == (300, 2)
