"""Writes the lines of a proposed mapping: names and texts as TOML and SQL have them."""

import json

__all__ = ["as_expression", "comment", "from_column", "literal", "name_in_sql", "quoted", "text_in_sql"]


def quoted(text: str) -> str:
    """A text in TOML's double quotes."""
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    """A text in TOML's single quotes, in which nothing is an escape, where it can be."""
    return quoted(text) if "'" in text else f"'{text}'"


def name_in_sql(column: str) -> str:
    """A column as SQL names it."""
    return '"' + column.replace('"', '""') + '"'


def text_in_sql(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def from_column(name: str, column: str, *more: str, remark: str = "") -> str:
    """The line of a column that is renamed.

    >>> from_column("mrr", "Amount", 'decimal = ","', remark="is it?")
    'mrr = { from = "Amount", decimal = "," }  # is it?'
    """
    return f"{name} = {{ {', '.join([f'from = {quoted(column)}', *more])} }}{remark and f'  # {remark}'}"


def as_expression(name: str, expression: str, *more: str, remark: str = "") -> str:
    """The line of a column that is computed."""
    return f"{name} = {{ {', '.join([f'expression = {quoted(expression)}', *more])} }}{remark and f'  # {remark}'}"


def comment(name: str, why: str, *, is_required: bool) -> str:
    """The line of a column that nothing is proposed for."""
    return f"# {name}{' (required)' if is_required else ''}: {why or 'no column looks like it'}"
