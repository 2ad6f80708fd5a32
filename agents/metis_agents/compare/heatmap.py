"""The map of where designs work: its page and its image. Both say how many seeds of each cell are right."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metis_agents.compare.limits import MAX_LOST, MAX_REDUNDANT, MIN_NEEDED, MIN_RIGHT
from metis_agents.compare.robustness import Cell, Condition, Map, map_csv, pooled, robust
from metis_agents.compare.seeds import Share
from metis_agents.compare.store import Store
from metis_agents.compare.style import INK, MUTED, figure, image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Cells", "draw_map", "map_page", "right_cells", "write_map"]

Cells = Mapping[tuple[str, float, Condition], Cell]

_LIMITS = (
    f"redundant calls ≤ {100 * MAX_REDUNDANT:.0f} %, needed calls ≥ {100 * MIN_NEEDED:.0f} %, accuracy within "
    f"{100 * MAX_LOST:.0f} points of accuracy-only with the same seed"
)
_ROBUST, _EMPTY = "#0072b2", "#eef1f4"


def write_map(plan: Map, cells: Cells, page: Path, *, made_by: str = "") -> tuple[Path, ...]:
    """Write the page, and beside it its image as PNG and SVG, and every run as CSV.

    Args:
        plan: The grid.
        cells: What came out, see `read_map`.
        page: Where the page goes.
        made_by: A sentence on how to make it again.

    Returns:
        Where they are, the page first.

    Raises:
        StorageError: They cannot be written.
    """
    folder, png = Store(page.parent, parts=()), page.with_suffix(".png").name
    return (
        folder.write(page.name, map_page(plan, cells, png, made_by).encode()),
        folder.write(png, draw_map(plan, cells)),
        folder.write(page.with_suffix(".svg").name, draw_map(plan, cells, "svg")),
        folder.write(page.with_suffix(".csv").name, map_csv(cells).encode()),
    )


def right_cells(plan: Map, cells: Cells, title: str) -> tuple[int, int]:
    """In how many cells of a design every seed is right, and how many have been run."""
    run = [cells[title, weight, at] for weight in plan.weights for at in plan.conditions]
    run = [cell for cell in run if cell.seeds]
    return sum(cell.share.right == cell.seeds for cell in run), len(run)


def map_page(plan: Map, cells: Cells, png: str, made_by: str = "") -> str:
    """The page: every weight over all conditions, then every cell."""
    totals = pooled(plan, cells)
    robust_totals, robust_cells = robust(totals), robust({key: cell.share for key, cell in cells.items()})
    keys = [(panel.title, weight, at) for panel in plan.panels for at in plan.conditions for weight in plan.weights]
    lines = [
        "# Where each reward design works",
        "",
        "A cell is a design with one weight, one share of flipped training verdicts and one number of answer options. "
        f"A run, one seed of a cell, is *right* if on the test split: {_LIMITS} under the same conditions.",
        "",
        f"A weight, or a cell, is *robust* if its share of right runs is at least {MIN_RIGHT:g} with 95 % confidence "
        "(Holm's correction over the rows of each table). A few seeds cannot show that: 5 of 5 right runs bound the "
        "share by 48 % only. Read such cells as counts.",
        "",
        f"Every run learns from {plan.settings.batches} batches of {plan.settings.tasks} tasks × "
        f"{plan.settings.group_size} episodes and then plays {plan.settings.eval_tasks * plan.settings.eval_episodes} "
        "test episodes. Runs of a seed share cold start and tasks. A weight means something else in each design: "
        f"compare regions, not rows. {made_by}".rstrip(),
        "",
        f"![Right runs by design]({png})",
        "",
        "Over all conditions. The interval is Clopper and Pearson's, with the runs of a seed as one cluster.",
        "",
        "| design | weight | right runs | 95 % interval | robust |",
        "|---|---|---|---|---|",
        *(
            f"| {title} | {weight:g} | {share} | {_interval(share)} | {_yes(robust_totals[title, weight])} |"
            for (title, weight), share in totals.items()
        ),
        "",
        "In per cent, means over the seeds of the cell: where only some seeds are right, no run is like the mean. "
        "*lost* is accuracy-only's accuracy minus the cell's, paired by seed, in points.",
        "",
        "| design | weight | flipped | options | redundant | needed | accuracy | lost | right runs | interval "
        "| robust |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_cell_row(key, cells[key], robust_cells[key]) for key in keys),
    ]
    return "\n".join(lines) + "\n"


def draw_map(plan: Map, cells: Cells, form: str = "png") -> bytes:
    """Two rows of heat maps, one column for each design, as PNG, SVG or PDF."""
    columns = len(plan.panels)
    drawn = figure(4.15 * columns + 0.9, 8.2)
    width = 0.9 / columns
    grids = (
        (plan.by_noise, [f"{100 * at.noise:.0f} %" for at in plan.by_noise], "verdicts flipped"),
        (plan.by_choices, [f"1 in {at.choices}" for at in plan.by_choices], "guesses right"),
    )
    for column, panel in enumerate(plan.panels):
        for row, (conditions, names, axis) in enumerate(grids):
            axes = drawn.add_axes((0.08 + column * width, 0.52 - 0.4 * row, width * 0.88, 0.3))
            for x, condition in enumerate(conditions):
                for y, weight in enumerate(plan.weights):
                    _draw_cell(axes, x, y, cells[panel.title, weight, condition])
            _frame(axes, names, [f"{weight:g}" for weight in plan.weights])
            axes.set_xlabel(axis)
            if column == 0:
                axes.set_ylabel("weight")
        good, run = right_cells(plan, cells, panel.title)
        left = 0.08 + column * width
        drawn.text(left, 0.865, panel.title, fontsize=12.5, fontweight="bold")
        drawn.text(left, 0.835, f"every seed right in {good} of {run} cells", fontsize=10.5, color=MUTED)
    drawn.text(0.08, 0.945, "Where each reward design works", fontsize=15, fontweight="bold")
    drawn.text(
        0.08,
        0.915,
        f"Right: {_LIMITS}. A dot for each seed, full if it is right; outlined: all seeds are.",
        fontsize=9.5,
        color=MUTED,
    )
    note = "In each cell: redundant calls % / needed calls %, points of accuracy against accuracy-only; then each seed."
    drawn.text(0.08, 0.02, note, fontsize=9, color=MUTED)
    return image(drawn, form)


def _draw_cell(axes: "Axes", x: int, y: int, cell: Cell) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    share = cell.share.right / cell.seeds if cell.seeds else 0.0
    colour = LinearSegmentedColormap.from_list("right", [_EMPTY, _ROBUST])(share)
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=3))
    if share == 1.0:
        axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=INK, linewidth=2))
    if not cell.seeds:
        axes.text(x, y, "not run", ha="center", va="center", fontsize=8.5, color=MUTED)
        return
    ink = "white" if share > 0.5 else INK
    main = f"{100 * cell.redundant:.0f} / {100 * cell.needed:.0f}"
    axes.text(x, y + 0.22, main, ha="center", va="center", fontsize=10.5, color=ink, fontweight="bold")
    small = f"{_signed(-100 * cell.lost)} pt"
    axes.text(x, y - 0.06, small, ha="center", va="center", fontsize=8, color=ink)
    for place, run in enumerate(cell.runs):
        across = x + 0.8 * ((place + 0.5) / cell.seeds - 0.5)
        axes.plot(across, y - 0.32, "o", markersize=4, color=ink if run.right else "none", markeredgecolor=ink)


def _frame(axes: "Axes", across: list[str], up: list[str]) -> None:
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(-0.5, len(up) - 0.5)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(up)), up)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _cell_row(key: tuple[str, float, Condition], cell: Cell, is_robust: bool) -> str:
    title, weight, at = key
    start = f"| {title} | {weight:g} | {100 * at.noise:.0f} % | {at.choices} |"
    if not cell.seeds:
        return start + " – | – | – | – | 0 of 0 | – | not run |"
    metrics = " | ".join(f"{100 * value:.1f}" for value in (cell.redundant, cell.needed, cell.accuracy))
    lost = _signed(100 * cell.lost)
    return start + f" {metrics} | {lost} | {cell.share} | {_interval(cell.share)} | {_yes(is_robust)} |"


def _interval(share: Share) -> str:
    return f"{100 * share.low:.0f}–{100 * share.high:.0f} %" if share.n else "–"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _signed(value: float) -> str:
    """One decimal with a sign, and no negative zero.

    >>> _signed(-0.01), _signed(1.26), _signed(-3.0)
    ('0.0', '+1.3', '−3.0')
    """
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")
