"""A stage's lineage is the code that can change its values: followed through imports, not more and not less."""

from __future__ import annotations

from pathlib import Path

from chartcode.lineage import NEUTRAL, code_digest, code_files
from tests.conftest import ROOT


def house(root: Path) -> Path:
    (root / "src/chartcode/tables").mkdir(parents=True)
    (root / "stages").mkdir()
    files = {
        "stages/a.py": "from chartcode.tables import deep\nfrom chartcode.params import load\n",
        "src/chartcode/__init__.py": '"""Package."""\n__version__ = "1"\n',
        "src/chartcode/params.py": "",
        "src/chartcode/tables/__init__.py": '"""Tables."""\n',
        "src/chartcode/tables/deep.py": "def f():\n    import chartcode.deeper\n",
        "src/chartcode/deeper.py": "X = 1\n",
        "src/chartcode/deeper.csv": "a\n1\n",
        "src/chartcode/apart.py": "",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def test_imports_are_followed_even_inside_functions_and_data_files_count(tmp_path: Path) -> None:
    assert code_files("stages/a.py", house(tmp_path)) == [
        "src/chartcode/deeper.csv",
        "src/chartcode/deeper.py",
        "src/chartcode/tables/deep.py",
        "stages/a.py",
    ]


def test_the_digest_changes_with_the_lineage_and_with_nothing_else(tmp_path: Path) -> None:
    root = house(tmp_path)
    before = code_digest("stages/a.py", root)
    (root / "src/chartcode/apart.py").write_text("Y = 1")
    (root / "src/chartcode/params.py").write_text("Y = 1")
    assert code_digest("stages/a.py", root) == before
    (root / "src/chartcode/deeper.csv").write_text("a\n2\n")
    assert code_digest("stages/a.py", root) != before


def test_a_package_that_does_something_at_import_counts(tmp_path: Path) -> None:
    root = house(tmp_path)
    (root / "src/chartcode/tables/__init__.py").write_text('"""Tables."""\nLIMIT = 3\n')
    assert "src/chartcode/tables/__init__.py" in code_files("stages/a.py", root)


def test_neutral_modules_exist_and_are_few() -> None:
    assert len(NEUTRAL) <= 6
    assert all((ROOT / name).is_file() for name in NEUTRAL)
