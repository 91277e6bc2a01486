"""One YAML file = one dataset: platform, seeds, thresholds, filters, releases, politeness.

Where things are (Redis, SQL, folders, secrets) is not here but in microlens.settings: a recipe can be published.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from microlens import __version__
from microlens.addresses import canonical_url, origin_of
from microlens.errors import RecipeError
from microlens.explain import explain
from microlens.records import Rendition, Stage

if TYPE_CHECKING:
    from pathlib import Path

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Of runs and releases: they are names of folders as well."""

Word = Annotated[str, Field(min_length=1)]
Hashtags = Literal["counted", "meaningless"]
Twins = Literal["drop", "merge"]

_DESCRIBED_PLATFORM = "selectors"
_LISTED_PLATFORM = "ytdlp"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Seeds(_Section):
    """Seed videos from the refreshed home page (paper, section 2.1)."""

    target: int = Field(default=400_000, ge=1, description="Seed videos wanted; the crawl of the home page ends there.")
    min_likes: int = Field(default=10_000, ge=-1, description="A seed has MORE likes than this; -1 takes all.")
    min_interactions: int = Field(
        default=-1,
        ge=-1,
        description="A seed's page counts MORE comments than this; the paper's floor is 100, -1 takes all.",
    )
    categories: tuple[Word, ...] = Field(
        default=(), description="A seed is of one of these, as the site names them; empty takes all."
    )
    languages: tuple[Word, ...] = Field(
        default=(), description="A seed is in one of these (BCP 47; `zh` takes `zh-Hans` too); empty takes all."
    )
    max_stale_refreshes: int = Field(
        default=20, ge=1, description="Refreshes in a row without an unseen video, after which the home page is done."
    )


class Expansion(_Section):
    """Related videos of the seeds (paper, section 2.1)."""

    related_per_page: int = Field(default=10, ge=0, description="Links drawn from each page.")
    depth: int = Field(default=1, ge=0, description="1: related videos of seeds; 2: of those too; 0: none.")


class Comments(_Section):
    """Which comments are collected, and what is kept of them."""

    when: Literal["after_checks", "always"] = Field(
        default="after_checks",
        description="after_checks: only once a video's title, cover and size pass, as the paper filters first.",
    )
    max_per_video: int = Field(default=5_000, ge=1, description="Newest comments collected of one video.")
    text: Literal["scrubbed", "raw", "none"] = Field(
        default="scrubbed", description="scrubbed: without e-mail addresses, @mentions, phone numbers and URLs."
    )
    gender: bool = Field(default=False, description="Keep the commenter's gender where the site shows it.")


class Media(_Section):
    """Which files are fetched, or told of."""

    rendition: Rendition = Field(
        default="max_height",
        description="Which of a video's renditions is fetched: the tallest up to max_height, the smallest or the best.",
    )
    max_height: int = Field(default=480, ge=1, description="Tallest video rendition fetched, pixels.")
    max_bytes: int = Field(default=500_000_000, ge=1, description="A longer file is given up.")
    audio: bool = Field(default=True, description="Fetch the separate audio track where the site has one.")
    audio_from_video: bool = Field(
        default=True,
        description="With `audio`: where the site has none, take the sound out of the video's file, as it is.",
    )
    audio_codec: Literal["keep", "aac", "mp3", "opus", "flac"] = Field(
        default="keep",
        description="What sound that was taken out of a video becomes; all but keep need the extra `transcode`.",
    )
    captions: bool = Field(
        default=False, description="Tell where captions are; PeerTube takes one more request a video for that."
    )


class Filters(_Section):
    """The paper's three filters, where a value equal to its threshold is kept, and duplicates."""

    min_title_characters: int = Field(
        default=3, ge=0, description="Meaningful characters in a title, as docs/filters.md says what they are."
    )
    hashtags: Hashtags = Field(
        default="counted", description="counted: the words of hashtags are part of a title; meaningless: they are not."
    )
    max_cover_share: float = Field(default=0.75, ge=0, le=1, description="Share of a cover that has one colour.")
    min_video_bytes: int = Field(default=100_000, ge=0, description="Size of the video file, bytes.")
    near_duplicate_bits: int = Field(
        default=15,
        ge=0,
        le=15,
        description="Pictures that differ in so many of their 256 bits are alike, and of videos that show the same "
        "pictures the most-liked stays; 0 drops equal files alone.",
    )
    twins: Twins = Field(
        default="drop",
        description="What becomes of comments on a duplicate: drop, or merge with those on the video that stays.",
    )


PRESETS: dict[str, dict[str, Any]] = {"paper": {"stage": "seed", "min_likes": 10_000, "min_user": 5}}
"""How the published subsets were most likely drawn (docs/subsets.md); a release's own keys stand above its preset's."""


class Release(_Section):
    """What is published; a list, each with a name of its own. docs/subsets.md tells in which order its rules apply."""

    name: str = Field(default="dataset", pattern=NAME_PATTERN, description="Also of its folder; ids stay with it.")
    preset: Literal["paper"] | None = Field(
        default=None, description="paper: stage seed, min_likes 10000, min_user 5, where they are not given."
    )
    users: int | None = Field(default=None, ge=1, description="Users drawn; all eligible ones if absent.")
    seed: int | None = Field(default=None, description="Draws the users; the recipe's seed if absent.")
    min_user: int = Field(default=5, ge=1, description="Fewest interactions of an eligible user, within the pool.")
    max_user: int | None = Field(default=None, ge=1, description="Most interactions of an eligible user.")
    min_item: int = Field(
        default=1, ge=1, description="Fewest interactions of an item with the users drawn, who keep to min_user."
    )
    k_core: int | None = Field(
        default=None, ge=2, description="Of what is drawn, keep the part in which users and items have so many each."
    )
    stage: Stage | None = Field(default=None, description="Only items found as `seed` or as `related`.")
    min_likes: int | None = Field(default=None, ge=0, description="Fewest likes of an item, at the cutoff.")
    pool: int | None = Field(default=None, ge=1, description="So many items, the first by the order of the crawl.")
    cutoff: datetime | None = Field(
        default=None, description="Only comments made before: a day (2022-09-13, from its start) or a moment, UTC."
    )
    within: str | None = Field(
        default=None,
        pattern=NAME_PATTERN,
        description="Draw from that release alone: its users, items and pairs. It comes before this one.",
    )
    timestamps: Literal["exact", "day", "order"] = Field(default="exact", description="What a release tells of time.")

    @model_validator(mode="before")
    @classmethod
    def _take_preset(cls, given: Any) -> Any:
        preset = given.get("preset") if isinstance(given, dict) else None
        return {**PRESETS.get(preset, {}), **given} if isinstance(preset, str) else given

    @field_validator("cutoff", mode="before")
    @classmethod
    def _cutoff_is_a_day(cls, cutoff: Any) -> Any:
        """Read by ourselves: pydantic takes 20220913 for seconds since 1970."""
        try:
            moment = datetime.fromisoformat(str(cutoff)) if cutoff is not None else None
        except ValueError as error:
            raise ValueError("give a day (2022-09-13) or a moment (2022-09-13T18:00); times are UTC") from error
        if moment is None or moment.tzinfo is None:
            return moment and moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)

    @model_validator(mode="after")
    def _rules_go_together(self) -> Self:
        if self.max_user is not None and self.max_user < self.min_user:
            raise ValueError(f"nobody has {self.min_user} interactions or more (min_user) and {self.max_user} or fewer")
        if self.max_user is not None and self.max_user < (self.k_core or 0):
            raise ValueError(f"a {self.k_core}-core (k_core) has no user of {self.max_user} or fewer (max_user)")
        return self


class Politeness(_Section):
    """Shared by all machines of a run. robots.txt and its crawl delay are obeyed besides; nothing turns that off."""

    requests_per_second: float = Field(default=1.0, gt=0, le=10_000, description="A host, all machines together.")
    concurrency: int = Field(default=2, ge=1, le=256, description="Requests in flight a host.")
    bytes_per_second: float | None = Field(
        default=None,
        gt=0,
        description="Most that all nodes together read of a host: files, the pieces of videos, lists of comments; no "
        "limit if absent. What waits for it is not too slow.",
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Total time of one page; of a file, until it begins.")
    file_timeout_s: float = Field(default=3600.0, gt=0, description="Total time of one try to fetch a file.")
    idle_s: float = Field(default=20.0, gt=0, description="An answer that brings nothing for so long is given up.")
    min_bytes_per_s: float = Field(
        default=8000.0, ge=0, description="A file that comes more slowly than this over half a minute is given up."
    )
    max_attempts: int = Field(default=5, ge=1, description="Tries before a failure is final.")
    park_after: int = Field(
        default=3, ge=1, description="Requests in a row without any answer, after which a host is parked."
    )
    park_s: float = Field(
        default=60.0, gt=0, description="Seconds a host is parked for the first time; each further time doubles it."
    )
    give_up_after_s: float = Field(
        default=86_400.0, ge=0, description="Seconds of silence after which a parked host's work fails."
    )


class Network(_Section):
    """Addresses beyond the public ones."""

    allow: tuple[str, ...] = Field(
        default=(), description="Networks in CIDR form that may be reached although they are not public."
    )


class BenchmarkPlan(_Section):
    """What `run` ranks on every release."""

    models: tuple[str, ...] = Field(default=("popularity", "sasrec"), description="Names; none ranks nothing.")
    preset: str = Field(
        default="default", description="Settings: default, tuned, paper, official, or a .yaml file that tune wrote."
    )
    seed: int = Field(default=0, description="Draws the models' first weights and the batches.")


class Recipe(_Section):
    """The whole recipe; every key has a default but the first four."""

    name: str = Field(pattern=NAME_PATTERN, description="Names the run.")
    platform: str = Field(description="Name of the adapter: sandbox, peertube, selectors, ytdlp, or one of your own.")
    platform_file: str | None = Field(
        default=None, description="Describes the site to the platform `selectors`; beside the recipe, or absolute."
    )
    platform_options: dict[str, Any] = Field(
        default={}, description="What that file says: load_recipe puts it here, so that a run needs the file no more."
    )
    instances: tuple[str, ...] = Field(
        min_length=1,
        description="Addresses of the site, each scheme://host[:port]; see docs/adding-a-platform.md for several. For "
        "`ytdlp` the listings: channels, hashtags, playlists by their addresses, searches as ytsearch50:cats.",
    )
    contact: str = Field(min_length=5, description="E-mail or address where the site's owner reaches you.")
    seed: int = Field(default=0, description="Every random choice of the run is drawn from it.")
    seeds: Seeds = Seeds()
    expansion: Expansion = Expansion()
    comments: Comments = Comments()
    media: Media = Media()
    filters: Filters = Filters()
    releases: tuple[Release, ...] = (Release(),)
    politeness: Politeness = Politeness()
    network: Network = Network()
    benchmark: BenchmarkPlan = BenchmarkPlan()

    @field_validator("instances")
    @classmethod
    def _instances_are_origins(cls, instances: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        is_listed = info.data.get("platform") == _LISTED_PLATFORM  # its adapter checks them when a run is made
        for instance in () if is_listed else instances:
            scheme, _, rest = instance.partition("://")
            if scheme not in {"http", "https"} or not rest.strip("/"):
                raise ValueError(f"{instance!r} is not of the form http(s)://host[:port]")
        origins = tuple(instance.rstrip("/") for instance in instances)
        # Two listings may be of one site.
        if len(set(map(canonical_url if is_listed else origin_of, origins))) < len(origins):
            raise ValueError("an instance is named twice")
        return origins

    @field_validator("releases")
    @classmethod
    def _releases_have_names_of_their_own(cls, releases: tuple[Release, ...]) -> tuple[Release, ...]:
        if len({release.name for release in releases}) < len(releases):
            raise ValueError("two releases have the same name")
        names = [release.name for release in releases]
        for place, release in enumerate(releases):
            if release.within in names[place:]:
                raise ValueError(f"{release.name!r} is drawn within {release.within!r}, which has to come before it")
        return releases

    @field_validator("contact")
    @classmethod
    def _contact_can_be_used(cls, contact: str) -> str:
        if "@" not in contact and "://" not in contact:
            raise ValueError(f"{contact!r} is neither an e-mail address nor a web address")
        return contact

    @model_validator(mode="after")
    def _selectors_have_a_file(self) -> Self:
        if self.platform == _DESCRIBED_PLATFORM and self.platform_file is None:
            raise ValueError(f"platform {self.platform!r} needs the key 'platform_file': a YAML file that describes it")
        if self.platform != _DESCRIBED_PLATFORM and (self.platform_file is not None or self.platform_options):
            key = "platform_options" if self.platform_file is None else "platform_file"
            raise ValueError(f"the key {key!r} is for platform {_DESCRIBED_PLATFORM!r}, not for {self.platform!r}")
        return self

    @property
    def user_agent(self) -> str:
        """Who we are and where to complain (RFC 9110, section 10.1.5)."""
        return f"microlens-build/{__version__} (+{self.contact})"

    @property
    def sha256(self) -> str:
        """Hash of the meaning, not of the file: comments and key order do not count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def to_yaml(self) -> str:
        # Escaped, for YAML reads some bare characters (U+0085) as a line's end.
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe; RecipeError names every wrong key, the value, and the nearest valid key.

    Its platform file is read as well, unless what it says stands in the recipe already (as in a run's copy).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 ({error})"
        raise RecipeError(f"the recipe {path} cannot be read: {cause}", hint="give the path of a YAML file") from error
    recipe = parse_recipe(text, source=str(path))
    if recipe.platform_file is None or recipe.platform_options:
        return recipe
    from microlens.platforms.site_file import read_site  # noqa: PLC0415 - most recipes need no parser of pages

    return recipe.model_copy(update={"platform_options": read_site(path.parent / recipe.platform_file)})


def parse_release(given: dict[str, Any]) -> Release:
    """Check one release's keys, as a command line gives them; RecipeError names what is wrong with which."""
    try:
        return Release.model_validate(given)
    except ValidationError as error:
        lines = "; ".join(explain(error, Release))
        raise RecipeError(lines, hint="docs/subsets.md tells what goes together") from error


def parse_recipe(text: str, *, source: str = "recipe") -> Recipe:
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not YAML: {error}", hint="see deploy/recipes/ for recipes that work") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{source} holds a {type(raw).__name__}, not a table of keys", hint="see deploy/recipes/")
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        lines = "\n  ".join(explain(error, Recipe))
        raise RecipeError(f"{source} cannot be used:\n  {lines}", hint="see deploy/recipes/") from error
