"""Templates escape what they put into HTML, lack nothing silently, and travel with the code."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest
from jinja2 import UndefinedError

from features.templates import template

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted(
    path.relative_to(ROOT).as_posix()
    for room in ("features", "training", "serving")
    for path in (ROOT / room).rglob("*.j2")
)


@pytest.mark.parametrize(
    ("name", "text"),
    [("page.html.j2", "<b>&lt;i&gt; &amp; &#34;a&#34;</b>\n"), ("card.md.j2", '<b><i> & "a"</b>\n')],
)
def test_what_is_put_into_html_is_escaped(tmp_path, name, text):
    (tmp_path / name).write_text("<b>{{ name }}</b>\n")
    assert template(tmp_path / name).render(name='<i> & "a"') == text


def test_a_name_without_a_value_is_an_error(tmp_path):
    (tmp_path / "page.html.j2").write_text("{{ account.name }}")
    with pytest.raises(UndefinedError, match="'account' is undefined"):
        template(tmp_path / "page.html.j2").render()


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_part_of_the_wheel_and_of_the_bento(name):
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    path = PurePosixPath(name)
    assert (ROOT / path.parent / "__init__.py").exists()
    assert any(fnmatch(path.name, pattern) for pattern in tools["setuptools"]["package-data"]["*"])
    assert any(fnmatch(name, pattern.replace("**/", "*")) for pattern in tools["bentoml"]["build"]["include"])


def test_templates_are_found():
    assert {"serving/http_api/docs_page.html.j2", "training/judging/model_card.md.j2"} <= set(TEMPLATES)
