from __future__ import annotations

import json
from pathlib import Path

from pyserini_optical.quickstart import _next_steps


def test_it_names_the_encoder_and_the_index_of_the_trained_run(tmp_path: Path) -> None:
    work = tmp_path / "my work"
    for run in ("optical", "table-start"):
        record = {"searcher": f"{work}/encoders/{run}", "index": f"{work}/indexes/faiss-0"}
        (work / "sw" / "runs").mkdir(parents=True, exist_ok=True)
        (work / "sw" / "runs" / f"{run}.json").write_text(json.dumps(record))
    said = _next_steps(work)
    assert f"search.faiss --encoder '{work}/encoders/optical' --index '{work}/indexes/faiss-0' \\\n" in said
    assert "printf 'q1\\tKwa nini maji ya bahari yana chumvi?\\n' > my-topics.tsv" in said
