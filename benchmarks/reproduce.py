"""Whether the committed lock comes out again: other folders, other Pythons, another CPU.

    python -m benchmarks.reproduce [PYTHON ...]      # interpreters to try beside this one, 3.11 or newer

Each row is a fresh clone in a folder of its own, an environment of its own from requirements/base.lock (made with uv),
and `dvc repro --force`; then `chartcode reproduced` compares the lock and the metrics with the committed ones. The last
row hides the vector units of the last ten years from NumPy, Arrow and OpenBLAS. Other operating systems, other
processor families (ARM) and a zlib other than the classic one were not tried.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORT = "import sys; from chartcode.cli import main; sys.exit(main(['reproduced']))"
OLD_CPU = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL",
    "ARROW_USER_SIMD_LEVEL": "NONE",
    "OPENBLAS_CORETYPE": "Nehalem",
}


def run(*command: str | Path, cwd: Path = ROOT, extra: dict[str, str] | None = None, check: bool = True) -> str:
    """Standard output of a command."""
    environ = {**os.environ, **(extra or {})}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{command[0]} {command[1]}: status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def environment(python: str, folder: Path) -> Path:
    """The bin folder of a new environment with the locked packages and nothing else."""
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "--quiet", "--python", python, folder)
    lock = ROOT / "requirements/base.lock"
    here = {"VIRTUAL_ENV": str(folder)}
    run(uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirement", lock, extra=here)
    return folder / "bin"


def row(bin_folder: Path, clone: Path, extra: dict[str, str], cpu: str) -> str:
    """One fresh clone, one forced run, one line."""
    run("git", "clone", "--quiet", ROOT, clone)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    extra = {**extra, "PATH": path, "DVC_NO_ANALYTICS": "true", "PYTHONPATH": str(clone / "src")}
    run("dvc", "repro", "--force", "--quiet", cwd=clone, extra=extra)
    version = run("python", "-c", "import platform; print(platform.python_version())", cwd=clone, extra=extra).strip()
    report = run("python", "-c", REPORT, cwd=clone, extra=extra, check=False)
    lines = [line.split(maxsplit=1) for line in report.split("\n\n")[0].splitlines()]
    same = [text.split("  ")[0] for _, text in lines if text.endswith("same")]
    others = "; ".join(" ".join(text.split()) for _, text in lines if not text.endswith("same"))
    verdict = "yes" if all(mark == "ok" for mark, _ in lines) else "NO"
    return f"| {version} | {cpu} | {verdict} | {len(same)} of {len(lines)} | {others or '-'} |"


def main() -> None:
    """Print a row as soon as it is known."""
    print("| Python | CPU | reproduced | the same to the byte | otherwise |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for number, python in enumerate([sys.executable, *sys.argv[1:]]):
            made = environment(python, Path(temporary) / f"environment{number}")
            print(row(made, Path(temporary) / f"clone{number}", {}, "this one"), flush=True)
        first = Path(temporary) / "environment0/bin"
        print(row(first, Path(temporary) / "old", OLD_CPU, "as in 2009 (SSE4)"), flush=True)


if __name__ == "__main__":
    main()
