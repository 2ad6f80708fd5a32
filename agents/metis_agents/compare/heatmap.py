"""The map of where designs work: its page and its image. Both say how many seeds each cell has."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metis_agents.compare.limits import MAX_LOST, MAX_REDUNDANT, MIN_NEEDED
from metis_agents.compare.robustness import Cell, Condition, Map
from metis_agents.compare.store import Store
from metis_agents.compare.style import INK, MUTED, figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Cells", "draw_map", "map_page", "robust_share", "write_map"]

Cells = Mapping[tuple[str, float, Condition], Cell]

_LIMITS = (
    f"redundant calls ≤ {100 * MAX_REDUNDANT:.0f} %, needed calls ≥ {100 * MIN_NEEDED:.0f} %, accuracy within "
    f"{100 * MAX_LOST:.0f} points of accuracy-only"
)
_ROBUST, _EMPTY = "#0072b2", "#eef1f4"


def write_map(plan: Map, cells: Cells, page: Path, *, made_by: str = "") -> tuple[Path, Path]:
    """Write the page, and its image beside it.

    Args:
        plan: The grid.
        cells: What came out, see `read_map`.
        page: Where the page goes.
        made_by: A sentence on how to make it again.

    Returns:
        Where they are.

    Raises:
        StorageError: They cannot be written.
    """
    folder, image = Store(page.parent, parts=()), page.with_suffix(".png").name
    text = map_page(plan, cells, image, made_by)
    return folder.write(page.name, text.encode()), folder.write(image, draw_map(plan, cells))


def robust_share(plan: Map, cells: Cells, title: str) -> tuple[int, int]:
    """How many cells of a design are robust, and how many have been run."""
    run = [cells[title, weight, at] for weight in plan.weights for at in plan.conditions]
    run = [cell for cell in run if cell.seeds]
    return sum(cell.robust for cell in run), len(run)


def map_page(plan: Map, cells: Cells, image: str, made_by: str = "") -> str:
    """The page: the share of each design, then every cell."""
    lines = [
        "# Where each reward design works",
        "",
        "A cell is a design with one weight, one share of flipped training verdicts and one number of answer options. "
        f"It is *robust* if, on the test split and on average over its seeds: {_LIMITS} under the same conditions.",
        "",
        f"Every run learns from {plan.settings.batches} batches of {plan.settings.tasks} tasks × "
        f"{plan.settings.group_size} episodes and then plays {plan.settings.eval_tasks * plan.settings.eval_episodes} "
        "test episodes. Runs of a seed share cold start and tasks. A weight means something else in each design: "
        f"compare regions, not rows. {made_by}".rstrip(),
        "",
        f"![Robust cells by design]({image})",
        "",
        "| design | robust cells | share | seeds per cell |",
        "|---|---|---|---|",
        *(_share_row(plan, cells, panel.title) for panel in plan.panels),
        "",
        "In per cent, means over the seeds of the cell; *lost* is accuracy-only's accuracy minus the cell's, in "
        "points; *robust seeds* counts those that are within all limits by themselves.",
        "",
        "| design | weight | flipped | options | redundant | needed | accuracy | lost | robust seeds | robust |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(
            _cell_row(panel.title, weight, at, cells[panel.title, weight, at])
            for panel in plan.panels
            for at in plan.conditions
            for weight in plan.weights
        ),
    ]
    return "\n".join(lines) + "\n"


def draw_map(plan: Map, cells: Cells) -> bytes:
    """Two rows of heat maps, one column for each design, as PNG."""
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
        good, run = robust_share(plan, cells, panel.title)
        left = 0.08 + column * width
        drawn.text(left, 0.865, panel.title, fontsize=12.5, fontweight="bold")
        drawn.text(left, 0.835, f"robust in {good} of {run} cells", fontsize=10.5, color=MUTED)
    drawn.text(0.08, 0.945, "Where each reward design works", fontsize=15, fontweight="bold")
    drawn.text(
        0.08,
        0.915,
        f"Outlined: {_LIMITS}. The darker, the more of the seeds are.",
        fontsize=9.5,
        color=MUTED,
    )
    note = (
        "In each cell: redundant calls % / needed calls %, points of accuracy against accuracy-only, number of seeds."
    )
    drawn.text(0.08, 0.02, note, fontsize=9, color=MUTED)
    return png(drawn)


def _draw_cell(axes: "Axes", x: int, y: int, cell: Cell) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    share = cell.robust_seeds / cell.seeds if cell.seeds else 0.0
    colour = LinearSegmentedColormap.from_list("robust", [_EMPTY, _ROBUST])(share)
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=3))
    if cell.robust:
        axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=INK, linewidth=2))
    if not cell.seeds:
        axes.text(x, y, "not run", ha="center", va="center", fontsize=8.5, color=MUTED)
        return
    ink = "white" if share > 0.5 else INK
    main = f"{100 * cell.redundant:.0f} / {100 * cell.needed:.0f}"
    axes.text(x, y + 0.17, main, ha="center", va="center", fontsize=10.5, color=ink, fontweight="bold")
    small = f"{_signed(-100 * cell.lost)} pt, n={cell.seeds}"
    axes.text(x, y - 0.24, small, ha="center", va="center", fontsize=8, color=ink)


def _frame(axes: "Axes", across: list[str], up: list[str]) -> None:
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(-0.5, len(up) - 0.5)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(up)), up)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _share_row(plan: Map, cells: Cells, title: str) -> str:
    good, run = robust_share(plan, cells, title)
    seeds = {cells[title, weight, at].seeds for weight in plan.weights for at in plan.conditions}
    counted = str(min(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    share = f"{100 * good / run:.0f} %" if run else "–"
    return f"| {title} | {good} of {run} | {share} | {counted} |"


def _cell_row(title: str, weight: float, at: Condition, cell: Cell) -> str:
    start = f"| {title} | {weight:g} | {100 * at.noise:.0f} % | {at.choices} |"
    if not cell.seeds:
        return start + " – | – | – | – | 0 of 0 | not run |"
    metrics = " | ".join(f"{100 * value:.1f}" for value in (cell.redundant, cell.needed, cell.accuracy))
    verdict = "yes" if cell.robust else "no"
    lost = _signed(100 * cell.lost)
    return start + f" {metrics} | {lost} | {cell.robust_seeds} of {cell.seeds} | {verdict} |"


def _signed(value: float) -> str:
    """One decimal with a sign, and no negative zero.

    >>> _signed(-0.01), _signed(1.26), _signed(-3.0)
    ('0.0', '+1.3', '−3.0')
    """
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")
