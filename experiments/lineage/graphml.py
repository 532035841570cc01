"""GraphML: the graph over both parents, as networkx, Gephi, yEd and Cytoscape read it.

The graph has an edge from each parent to its child, `parent` saying which of the two it is; what is known of an agent
are typed attributes of its node. The text is made by whole columns and written as it comes, so a graph may be as large
as the run: networkx itself is for small parts (`experiments.lineage.graph`).
"""

from pathlib import Path

import polars as pl

__all__ = ["FIRST", "NODE_COLUMNS", "SECOND", "attributes", "edges", "write_graphml"]

FIRST, SECOND = "first", "second"
"""Values of an edge's `parent`."""

NODE_COLUMNS = {
    "label": "string",
    "species": "string",
    "island": "long",
    "operator": "string",
    "origin_time": "long",
    "destruction_time": "long",
    "depth": "long",
    "cause": "string",
    "mutation_strength": "double",
}
"""Attributes of a node and their types in GraphML; what is null is left out."""

_ROWS = 1 << 19  # written at a time
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns'
    ' http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">\n'
)
_TAIL = "</graph>\n</graphml>\n"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_FORBIDDEN = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"  # no XML may hold them


def write_graphml(table: pl.DataFrame, path: Path) -> None:
    """Write a lineage as a directed graph with an edge for each parent that is in the table.

    An agent whose parents are one and the same has one edge, the first.

    Args:
        table: of `LINEAGE`, perhaps with `taxon_label`, which becomes `label`.
        path: the file.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    nodes = attributes(table)
    keys = [
        f'<key id="{name}" for="node" attr.name="{name}" attr.type="{NODE_COLUMNS[name]}"/>\n' for name in nodes.columns
    ]
    keys.append('<key id="parent" for="edge" attr.name="parent" attr.type="string"/>\n')
    with path.open("wb") as file:
        file.write("".join((_HEAD, *keys, '<graph edgedefault="directed">\n')).encode())
        for start in range(0, table.height, _ROWS):
            rows = table.select("id").slice(start, _ROWS).hstack(nodes.slice(start, _ROWS))
            file.write(rows.select(_node(nodes).str.join()).item().encode())
        for which, lines in edges(table).items():
            for start in range(0, lines.height, _ROWS):
                file.write(lines.slice(start, _ROWS).select(_edge(which).str.join()).item().encode())
        file.write(_TAIL.encode())


def attributes(table: pl.DataFrame) -> pl.DataFrame:
    """[rows] what a node tells of each agent of a lineage: those of `NODE_COLUMNS` that the table says anything in.

    A number of single precision becomes the one it is written as: 0.02, not 0.019999999552965164.
    """
    named = table.rename({"taxon_label": "label"}) if "taxon_label" in table.columns else table
    there = [name for name in NODE_COLUMNS if name in named.columns and named[name].null_count() < named.height]
    single = [name for name in there if named.schema[name] == pl.Float32]
    return named.select(there).with_columns(pl.col(single).cast(pl.String).cast(pl.Float64))


def edges(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Edges to `id` from the parent called `source`, for `FIRST` and `SECOND`; parents that the table has not are left
    out, and so is a second one who is the first.
    """
    one, two = pl.col("ancestor_id"), pl.col("second_parent_id")
    other = two.is_in(table["id"].implode()) & (two != one) & (two != pl.col("id"))
    return {
        FIRST: table.filter(one != pl.col("id")).select("id", source=one),
        SECOND: table.filter(other).select("id", source=two),
    }


def _node(nodes: pl.DataFrame) -> pl.Expr:
    """Text of a node for each row."""
    said: list[pl.Expr] = []
    for name, kind in nodes.schema.items():
        value = pl.col(name).cast(pl.String)
        if kind == pl.String:
            value = value.str.replace_all(_FORBIDDEN, "\ufffd").str.replace_many(_ESCAPES)
        said.append(pl.concat_str(pl.lit(f'<data key="{name}">'), value, pl.lit("</data>")))
    inner = pl.concat_str(said, ignore_nulls=True) if said else pl.lit("")
    return pl.concat_str(pl.lit('<node id="'), pl.col("id").cast(pl.String), pl.lit('">'), inner, pl.lit("</node>\n"))


def _edge(which: str) -> pl.Expr:
    """Text of an edge for each row."""
    source, target = (pl.col(name).cast(pl.String) for name in ("source", "id"))
    tail = f'"><data key="parent">{which}</data></edge>\n'
    return pl.concat_str(pl.lit('<edge source="'), source, pl.lit('" target="'), target, pl.lit(tail))
