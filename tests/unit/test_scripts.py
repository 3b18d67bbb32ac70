"""Our modules as one file: each once, before what needs it; what is not understood is refused. UI 11."""

import gzip
import subprocess
from pathlib import Path

import pytest

from taskdash.web.pages import scripts, static

SOURCES = {
    "app": 'import * as low from "./low.js";\nimport { twice, one as first } from "./mid.js";\nconsole.log(low.one, first);',
    "mid": '// said\nimport { one } from "./low.js";\nexport { one };\nexport function twice(n) {\n  return n * 2;\n}',
    "low": "/** The first. */\nexport const one = 1;\n\n",
}


def node(text: str, path: Path) -> str:
    path.write_text(text, "utf-8")
    done = subprocess.run(["node", str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_bundle_runs_as_its_modules_would(tmp_path: Path) -> None:
    sources = SOURCES | {"mid": SOURCES["mid"].replace("export { one };", "export const none = one;")}
    sources["app"] = sources["app"].replace("one as first", "none as first")
    made = scripts.bundle("app", sources.__getitem__)
    assert made.count("const one = 1;") == 1
    assert "said" not in made
    assert node(made, tmp_path / "made.mjs") == "1 1"


def test_a_form_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"mid\.js: this form is not known: export \{ one \};"):
        scripts.bundle("app", SOURCES.__getitem__)


def test_modules_that_need_one_another_are_refused() -> None:
    circle = {"a": 'import { b } from "./b.js";\nexport const a = 1;', "b": 'import { a } from "./a.js";\nexport const b = a;'}
    with pytest.raises(ValueError, match="in a circle: a b a"):
        scripts.bundle("a", circle.__getitem__)


def test_code_between_two_comments_of_one_line_stays() -> None:
    source = '/** @type {x} */\nconst a = /** @type {y} */ (1);\n/** @type {z} */ (a);\n  // gone\nconst url = "http://x";\n'
    assert (
        scripts.without_comments(source) == 'const a = /** @type {y} */ (1);\n/** @type {z} */ (a);\nconst url = "http://x";\n'
    )


def test_every_script_that_is_sent_is_one_that_node_understands(tmp_path: Path) -> None:
    for name, file in static.files().items():
        assert gzip.decompress(file.packed) == file.body
        if name.endswith(".js"):
            path = tmp_path / name.replace(".js", ".mjs")
            path.write_bytes(file.body)
            subprocess.run(["node", "--check", str(path)], check=True)
