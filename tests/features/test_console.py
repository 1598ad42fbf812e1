"""Tables on real terminals of 40 and of 120 columns, and into a pipe."""

import csv
import fcntl
import io
import json
import math
import os
import pty
import struct
import subprocess
import sys
import termios
import unicodedata
from pathlib import Path

import pytest

from features.console import emit, emit_document, emit_json, emit_notes, emit_text, say
from features.shares import Share

ROOT = Path(__file__).parents[2]
EMIT = "import json, sys; from features.console import emit; emit(json.loads(sys.argv[1]), sys.argv[2])"
PLAIN = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
WHY = "Calls fell 58 % against the four weeks before (12,410 to 5,212)."
ROWS = [
    {"account": "acct_000042", "mrr": 1250.5, "reason": WHY},
    {"account": "ac\x1b[31mct\n7", "mrr": None, "reason": ""},
]
WIDE = [{f"column_{place}": f"value_{place}" for place in range(8)}]


def piped(rows, output="table", **environment):
    command = [sys.executable, "-c", EMIT, json.dumps(rows), output]
    result = subprocess.run(command, cwd=ROOT, env=PLAIN | environment, capture_output=True, check=True)
    return result.stdout.decode()


def on_terminal(columns, *command, both=False, **environment):
    """What a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        command, cwd=ROOT, env=PLAIN | environment, stdin=theirs, stdout=theirs, stderr=theirs if both else None
    ) as process:
        os.close(theirs)
        pieces = []
        try:
            while piece := os.read(ours, 65536):
                pieces.append(piece)
        except OSError:  # the other side is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return b"".join(pieces).decode().replace("\r\n", "\n")


def shown(columns, rows, **environment):
    return on_terminal(columns, sys.executable, "-c", EMIT, json.dumps(rows), "table", **environment)


def test_a_terminal_of_120_columns_has_each_row_in_a_line():
    assert shown(120, ROWS) == (
        "account            mrr  reason\n"
        "───────────────  ─────  ────────────────────────────────────────────────────────────────\n"
        "acct_000042      1,250  Calls fell 58 % against the four weeks before (12,410 to 5,212).\n"
        "ac\\x1b[31mct\\n7\n"
    )


def test_a_terminal_of_40_columns_has_the_same_words_in_more_lines():
    assert shown(40, ROWS) == (
        "account            mrr  reason\n"
        "───────────────  ─────  ────────────────\n"
        "acct_000042      1,250  Calls fell 58 %\n"
        "                        against the four\n"
        "                        weeks before\n"
        "                        (12,410 to\n"
        "                        5,212).\n"
        "ac\\x1b[31mct\\n7\n"
    )


def test_more_columns_than_fit_are_listed_row_by_row():
    assert shown(40, WIDE) == "".join(f"column_{place}  value_{place}\n" for place in range(8))
    assert shown(120, WIDE).splitlines()[0] == "  ".join(f"column_{place}" for place in range(8))


@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "40", "FORCE_COLOR": "1", "TERM": "dumb"}])
def test_a_pipe_gets_whole_rows_without_colours_whatever_the_environment(environment):
    name = " ".join(["word"] * 100)
    assert piped([{"name": name, "n": 1}], **environment).splitlines()[2] == f"{name}  1"
    assert piped(ROWS, **environment) == shown(120, ROWS)


@pytest.mark.parametrize("environment", [{"FORCE_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_of_any_kind_is_as_wide_as_it_is(environment):
    assert shown(40, ROWS, **environment) == shown(40, ROWS)


def test_json_and_csv_keep_every_letter():
    assert json.loads(piped(ROWS, "json")) == ROWS
    assert piped(ROWS[1:], "csv") == 'account,mrr,reason\n"ac\x1b[31mct\n7",,\n'


@pytest.mark.parametrize("columns", [40, 120])
def test_a_command_fits_the_terminal_it_is_called_from(tmp_path, columns):
    command = ["features", "describe", "--group", "usage"]
    text = on_terminal(columns, sys.executable, "-m", "features", "--home", str(tmp_path), *command)
    assert max(map(len, text.splitlines())) <= columns
    assert "calls_28d_vs_prior_28d" in text


HOSTILE = "Acme\x1b[2J\x9b31m\u202e Ltd\x07"
SPEAKERS = {
    "table": lambda: emit([{"name": HOSTILE}]),
    "json": lambda: emit([{"name": HOSTILE}], "json"),
    "value": lambda: emit_json({HOSTILE: [HOSTILE]}),
    "text": lambda: emit_text(HOSTILE),
    "notes": lambda: emit_notes([HOSTILE]),
    "line": lambda: say(f"Error: {HOSTILE}", err=True),
}


@pytest.mark.parametrize("speak", SPEAKERS.values(), ids=SPEAKERS)
def test_no_way_to_the_terminal_lets_control_characters_through(capsys, speak):
    speak()
    text = "".join(capsys.readouterr())
    assert "Acme" in text
    assert [sign for sign in text if unicodedata.category(sign) in {"Cc", "Cf"} and sign != "\n"] == []


def test_a_share_is_a_percentage_for_people_and_a_number_for_programs(capsys):
    row = {"account": "acme", "share": Share(0.041), "offer": True, "lift": math.nan}
    emit([row])
    assert capsys.readouterr().out.splitlines()[2] == "acme     4.1 %  yes     nan"
    emit([row], "csv")
    assert capsys.readouterr().out == "account,share,offer,lift\nacme,0.041,true,\n"
    emit([row], "json")
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == [row | {"lift": None}]


def test_csv_has_its_header_without_rows(capsys):
    emit([], "csv", columns=("check", "finding"))
    assert capsys.readouterr().out == "check,finding\n"


def test_a_document_is_csv_by_the_paths_of_its_fields(capsys):
    emit_document({"model": "m", "metrics": {"roc_auc": 0.5}, "remarks": ["a", "b"], "truth": {}}, "csv")
    assert capsys.readouterr().out == "field,value\nmodel,m\nmetrics.roc_auc,0.5\nremarks.0,a\nremarks.1,b\n"


def test_csv_on_a_terminal_is_harmless_too():
    text = on_terminal(120, sys.executable, "-c", EMIT, json.dumps(ROWS[1:]), "csv")
    assert text == "account,mrr,reason\nac\\x1b[31mct\\n7,,\n"


def test_json_means_the_same_when_it_is_made_harmless(capsys):
    emit_json({"name": HOSTILE + "\U000e0001 Ünal"})
    assert json.loads(capsys.readouterr().out) == {"name": HOSTILE + "\U000e0001 Ünal"}


def test_what_is_typed_or_found_on_the_shell_reaches_no_terminal_as_it_is(tmp_path):
    script = """if True:
        import sys, click
        from features.command_line import CommandLine

        @click.group(cls=CommandLine)
        def main(): pass

        @main.command()
        @click.option("--day", type=click.DateTime())
        def work(day): pass

        try:
            main.main(sys.argv[1:])
        except SystemExit as ended:
            assert ended.code == 2
    """
    sign = "\x1b[31m\u202ex"
    for arguments in (["work", sign], ["work", "--day", sign], [f"--{sign}"], [sign]):
        text = on_terminal(80, sys.executable, "-c", script, *arguments, both=True)
        assert "Error: " in text
        assert "\\x1b[31m\\u202ex" in text.replace("\n", "")
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_csv_keeps_a_value_with_any_line_end_in_its_row():
    names = ["Ac\rme", "Ac\nme", "Ac\r\nme", "A,c", 'A"c']
    text = piped([{"name": name, "mrr": 1} for name in names], "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["name", "mrr"], *([name, "1"] for name in names)]
    assert text.startswith("name,mrr\n")
