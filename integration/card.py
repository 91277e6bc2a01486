"""The release's README: what it is, how it came about (the funnel), and the numbers of the paper's Table 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from integration.shape import comparison
from microlens import __version__
from microlens.tables import COMMENTS, INTERACTIONS, ITEMS, USERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from integration.draw import Draw
    from microlens.recipe import Recipe

_PAPER = (
    ("MicroLens-100K", "100,000", "19,738", "719,405", "99.96%", "15,580", "161 s"),
    ("MicroLens-1M", "1,000,000", "91,402", "9,095,620", "99.99%", "28,383", "162 s"),
    ("MicroLens", "34,492,051", "1,142,528", "1,006,528,709", "99.997%", "258,367", "138 s"),
)
TABLES = {"items": ITEMS, "interactions": INTERACTIONS, "users": USERS, "comments": COMMENTS}
_FLAGS = {"has_more_likes_than_views": "more likes than views: one of the two counts is wrong"}
"""Columns that mark what looks wrong and is kept all the same."""

_TIMES = {
    "exact": "in milliseconds, as the site shows them",
    "day": "cut to the day (UTC)",
    "order": "left out; `position` gives the order",
}


def statistics(data: Path) -> dict[str, Any]:
    """The columns of the paper's Table 1, and the mean length of its Figure 3."""
    columns = ["item_id", "tags", "duration_s", "video_path", "audio_path", "audio_problem", "cover_path", *_FLAGS]
    items = pq.read_table(data / "items.parquet", columns=columns)
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
        "highest_item_id": pc.max(items["item_id"]).as_py() or 0,
        "covers": items.num_rows - items["cover_path"].null_count,
        "audios": items.num_rows - items["audio_path"].null_count,
        "videos": items.num_rows - items["video_path"].null_count,
        "flags": {name: pc.sum(items[name]).as_py() or 0 for name in _FLAGS},
        "audio_problems": _counts(items["audio_problem"]),
    }


def _counts(words: pa.ChunkedArray) -> dict[str, int]:
    """How often each word stands in a column, the commonest first; null is none."""
    found = pc.value_counts(words.drop_null()).to_pylist()
    return {row["values"]: row["counts"] for row in sorted(found, key=lambda row: (-row["counts"], row["values"]))}


def card(plan: Draw, recipe: Recipe, funnel: dict[str, Any], counts: dict[str, Any]) -> str:
    """Markdown; nothing in it is text that a site's users wrote."""
    sections = (
        _head(plan, recipe),
        _funnel(plan, recipe, funnel, counts),
        _draw(plan, recipe, counts),
        statistics_lines(str(plan.name), counts),
        shape_lines(str(plan.name), counts),
        _files(counts),
    )
    lines = [line for section in sections for line in section]
    return "\n".join([*lines, *_privacy(plan, recipe), ""])


def _head(plan: Draw, recipe: Recipe) -> Iterator[str]:
    yield from (
        f"# {plan.name}",
        "",
        f"A micro-video recommendation dataset of {', '.join(recipe.instances)} (platform `{recipe.platform}`), "
        f"built by microlens-build {__version__} from the recipe in `recipe.yaml`.",
        "A user's public comment on a video counts as one interaction.",
        "",
        "```python",
        "import microlens",
        f'dataset = microlens.load("{plan.name}")',
        "dataset.verify()  # every file against its SHA-256",
        "dataset.pairs, dataset.items, dataset.covers[1]",
        "```",
        "",
    )


def _funnel(plan: Draw, recipe: Recipe, funnel: dict[str, Any], counts: dict[str, Any]) -> Iterator[str]:
    filters = recipe.filters
    yield from (
        "## How it came about",
        "",
        "| step | videos |",
        "| --- | ---: |",
        f"| found on the site | {funnel['found']:,} |",
        f"| of these, fetched | {funnel['fetched']:,} |",
        *(f"| of these found, dropped: `{reason}` | {count:,} |" for reason, count in funnel["dropped"].items()),
        f"| kept | {funnel['kept']:,} |",
        f"| with an interaction of a user in this release | {counts['items']:,} |",
        "",
        f"Dropped are titles of fewer than {filters.min_title_characters} meaningful characters"
        f"{', hashtags not counted' if filters.hashtags == 'meaningless' else ''} (`title_too_short`), "
        f"covers with more than {filters.max_cover_share:.0%} of one colour (`cover_single_color`), video files under "
        f"{filters.min_video_bytes:,} bytes (`video_too_small`), second copies of the same bytes (`duplicate_video`), "
        f"{_near_rule(filters.near_duplicate_bits)}"
        f"videos seen on the home page and not reached from another that are no seeds: {_seed_rules(recipe)}; "
        "deleted ones (`gone`), and those whose owner does not want them taken.",
        "",
        *_twins_line(funnel),
        f"All kept videos together have {funnel['interactions']:,} interactions of {funnel['users']:,} users "
        f"(one a user and video, the earliest). This release has {counts['users']:,} users, each with at least "
        f"{plan.min_user} interactions.",
        "",
    )


def _twins_line(funnel: dict[str, Any]) -> Iterator[str]:
    """What became of comments on duplicates: the counts of an item stay those of its own page."""
    merged = funnel.get("merged")
    if merged:
        yield (
            f"Comments on a duplicate count as comments on the copy that was kept: {merged['interactions']:,} of the "
            f"interactions of all kept videos were made on {merged['videos']:,} such videos. Likes, views and comment "
            "counts are those of the kept copy's own page."
        )
    else:
        yield "Comments on duplicates are left out."
    yield ""


def _near_rule(bits: int) -> str:
    return f"of the same pictures up to {bits} of 256 bits (`near_duplicate_video`), " if bits else ""


def _seed_rules(recipe: Recipe) -> str:
    seeds = recipe.seeds
    rules = [f"with {seeds.min_likes:,} likes or fewer, or found when there were seeds enough (`unpopular`)"]
    if seeds.min_interactions >= 0:
        rules.append(f"with {seeds.min_interactions:,} comments or fewer (`too_few_interactions`)")
    rules += [f"of another category than {len(seeds.categories)} chosen ones (`other_category`)"] * bool(
        seeds.categories
    )
    rules += [f"in another language than {', '.join(seeds.languages)} (`other_language`)"] * bool(seeds.languages)
    return ", ".join(rules)


def _draw(plan: Draw, recipe: Recipe, counts: dict[str, Any]) -> Iterator[str]:
    seed, drawn = recipe.seed if plan.seed is None else plan.seed, counts["drawn"]
    pool = f" within a pool of {drawn['pool_items']:,} items" if drawn["pool_items"] is not None else ""
    yield from (
        "## How it was drawn",
        "",
        f"{drawn['users']:,} of the eligible users{pool} were drawn uniformly, in the order of a hash with seed "
        f"{seed}; they had {drawn['pairs']:,} interactions. Items that none of them commented on are left out.",
        "",
        "| option | value |",
        "| --- | --- |",
        *(f"| `{option}` | {value} |" for option, value in plan.rules()),
        "",
    )
    if plan.core is not None:
        users, items = plan.core
        yield f"Of these the largest part is kept in which users have at least {users} interactions and items {items}."
        yield ""


def shape_lines(name: str, counts: dict[str, Any]) -> Iterator[str]:
    heading, *rows = comparison(name, counts["shape"])
    yield from (
        "## Shape",
        "",
        "Beside the published dataset of the nearest size. Its tail and its core were never published: they are what "
        "readers of its files tell.",
        "",
        "| " + " | ".join(heading) + " |",
        "| --- | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    )


def statistics_lines(name: str, counts: dict[str, Any]) -> Iterator[str]:
    sparsity, duration = counts["sparsity"], counts["mean_duration_s"]
    own = (
        name,
        *(f"{counts[what]:,}" for what in ("users", "items", "interactions")),
        f"{sparsity:.3%}" if sparsity is not None else "-",
        f"{counts['tags']:,}",
        f"{duration:.0f} s" if duration is not None else "-",
    )
    yield from (
        "## Statistics",
        "",
        "As in Table 1 of the paper, beside its own rows.",
        "",
        "| dataset | #User | #Item | #Interaction | Sparsity | #Tags | Duration |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in (own, *_PAPER)),
        "",
        "Data-quality flags, of items that are kept all the same:",
        "",
        *(f"- `{flag}`: {counts['flags'][flag]:,} with {what}" for flag, what in _FLAGS.items()),
        f"- `audio_problem`: {_audio_line(counts['audio_problems'])}",
        "",
    )


def _audio_line(problems: dict[str, int]) -> str:
    words = ", ".join(f"`{word}` {count:,}" for word, count in problems.items())
    return f"{sum(problems.values()):,} without sound to be used" + (f" ({words})" if words else "")


def _files(counts: dict[str, Any]) -> Iterator[str]:
    highest, items = counts["highest_item_id"], counts["items"]
    holes = "without holes" if highest == items else f"with {highest - items} holes, of items that earlier versions had"
    yield from (
        "## Files",
        "",
        f"Ids count from 1 (0 is padding); item ids run to {highest:,}, {holes}.",
        "A later version of this release keeps them, and what leaves it leaves a hole.",
        "",
        "`media/` holds {covers:,} covers, {audios:,} audio tracks and {videos:,} videos.".format(**counts),
        "`_manifest.json` has size and SHA-256 of every file, `recipe.yaml` the recipe.",
        "",
    )
    yield from column_lines(TABLES)


def column_lines(tables: Mapping[str, pa.Schema]) -> Iterator[str]:
    """What each column of these tables holds."""
    for name, schema in tables.items():
        yield from (f"`data/{name}.parquet`", "", "| column | type | what |", "| --- | --- | --- |")
        for field in schema:
            yield f"| {field.name} | {field.type} | {field.metadata[b'description'].decode()} |"
        yield ""


def _privacy(plan: Draw, recipe: Recipe) -> Iterator[str]:
    yield from (
        "## Privacy",
        "",
        f"Users are pseudonymous: their ids tell nothing of them. Times are {_TIMES[plan.timestamps]}; "
        f"comment texts are `{recipe.comments.text}`.",
        "Pseudonymised data is still personal data. Whoever opens a video's page can compare public comments with the",
        "times and texts here: do not try to find out who a user is, and do not publish links between the two.",
        f"Requests for removal: {recipe.contact}.",
    )
