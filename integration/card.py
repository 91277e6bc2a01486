"""The release's README: what it is, how it came about (the funnel), and the numbers of the paper's Table 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from integration.release import ReleasePlan
    from microlens.recipe import Recipe

_PAPER = (
    ("MicroLens-100K", "100,000", "19,738", "719,405", "99.96%", "15,580", "161 s"),
    ("MicroLens-1M", "1,000,000", "91,402", "9,095,620", "99.99%", "28,383", "162 s"),
    ("MicroLens", "34,492,051", "1,142,528", "1,006,528,709", "99.997%", "258,367", "138 s"),
)


def statistics(data: Path) -> dict[str, Any]:
    """The columns of the paper's Table 1, and the mean length of its Figure 3."""
    items = pq.read_table(
        data / "items.parquet", columns=["tags", "duration_s", "video_path", "audio_path", "cover_path"]
    )
    users = pq.read_metadata(data / "users.parquet").num_rows
    interactions = pq.read_metadata(data / "interactions.parquet").num_rows
    cells = users * items.num_rows
    duration = pc.mean(items["duration_s"]).as_py()
    return {
        "users": users,
        "items": items.num_rows,
        "interactions": interactions,
        "sparsity": round(1 - interactions / cells, 6) if cells else None,
        "tags": len(pc.unique(pc.list_flatten(items["tags"]))),
        "mean_duration_s": round(duration, 3) if duration is not None else None,
        "mean_interactions_per_user": round(interactions / users, 3) if users else None,
        "covers": items.num_rows - items["cover_path"].null_count,
        "audios": items.num_rows - items["audio_path"].null_count,
        "videos": items.num_rows - items["video_path"].null_count,
    }


def card(plan: ReleasePlan, recipe: Recipe, funnel: dict[str, Any], counts: dict[str, Any]) -> str:
    """Markdown; nothing in it is text that a site's users wrote."""
    lines = [
        f"# {plan.name}",
        "",
        f"A micro-video recommendation dataset built by microlens-build from the recipe `{recipe.name}` "
        f"(platform `{recipe.platform}`). A user's public comment on a video counts as one interaction.",
        "",
        "```python",
        "import microlens",
        f'dataset = microlens.load("{plan.name}")',
        "dataset.pairs, dataset.items, dataset.covers[1]",
        "```",
        "",
        "## How it came about",
        "",
        "| step | videos |",
        "| --- | ---: |",
        f"| found | {funnel['found']:,} |",
        f"| fetched | {funnel['fetched']:,} |",
        *(f"| dropped: {reason} | {count:,} |" for reason, count in funnel["dropped"].items()),
        f"| kept | {funnel['kept']:,} |",
        f"| with an interaction of a user in this release | {counts['items']:,} |",
        "",
        f"All kept videos together have {funnel['interactions']:,} interactions of {funnel['users']:,} users "
        f"(one a user and video, the earliest). This release has {counts['users']:,} users, each with at least "
        f"{plan.min_user} interactions.",
        "",
        "## Statistics",
        "",
        "As in Table 1 of the paper, beside its own rows.",
        "",
        "| dataset | #User | #Item | #Interaction | Sparsity | #Tags | Duration |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| {} | {:,} | {:,} | {:,} | {} | {:,} | {} |".format(
            plan.name,
            counts["users"],
            counts["items"],
            counts["interactions"],
            f"{counts['sparsity']:.3%}" if counts["sparsity"] is not None else "-",
            counts["tags"],
            f"{counts['mean_duration_s']:.0f} s" if counts["mean_duration_s"] is not None else "-",
        ),
        *("| " + " | ".join(row) + " |" for row in _PAPER),
        "",
        "`media/` holds {covers:,} covers, {audios:,} audio tracks and {videos:,} videos.".format(**counts),
        "",
        "## Files",
        "",
        "- `data/items.parquet`, `data/interactions.parquet`, `data/users.parquet`: every column is described in the",
        "  file's own schema. Ids are dense from 1; 0 is padding.",
        f"- `data/comments.parquet`: texts of the interactions ({recipe.comments.text}).",
        f"- Timestamps: {plan.timestamps}.",
        "- `_manifest.json`: size and SHA-256 of every file.",
        "",
        "Users are pseudonymous. Pseudonymised data is still personal data: do not try to find out who they are, and",
        f"send requests for removal to {recipe.contact}.",
        "",
    ]
    return "\n".join(lines)
