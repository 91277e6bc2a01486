"""What multiplies a count, in the languages of large video sites. A unit that has two meanings is not here.

Left out on purpose: the Turkish `B` (thousand) against the English one, the long-scale `billion`.
"""

from __future__ import annotations

MYRIAD_UNITS = {
    "千": 1_000, "천": 1_000,
    "万": 10_000, "萬": 10_000, "만": 10_000,
    "亿": 100_000_000, "億": 100_000_000, "억": 100_000_000,
}  # fmt: skip
"""Written against what follows (1.2万次播放), and said in falling steps."""

WORD_UNITS = {
    # English, as numbers of views are cut short; `w` is how Chinese users type 万
    "k": 1_000, "thousand": 1_000, "w": 10_000,
    "m": 1_000_000, "mn": 1_000_000, "million": 1_000_000, "millions": 1_000_000,
    "b": 1_000_000_000, "bn": 1_000_000_000, "billion": 1_000_000_000, "billions": 1_000_000_000,
    # India
    "lakh": 100_000, "lakhs": 100_000, "crore": 10_000_000, "crores": 10_000_000,
    # Spanish, Portuguese, Italian; German; French; Russian
    "mil": 1_000, "mila": 1_000, "mi": 1_000_000, "mln": 1_000_000,
    "tsd": 1_000, "mio": 1_000_000, "mrd": 1_000_000_000, "md": 1_000_000_000,
    "тыс": 1_000, "млн": 1_000_000, "млрд": 1_000_000_000,
    # Arabic; Hindi; Vietnamese
    "ألف": 1_000, "الف": 1_000, "آلاف": 1_000, "مليون": 1_000_000, "ملايين": 1_000_000, "مليار": 1_000_000_000,
    "हजार": 1_000, "लाख": 100_000, "nghìn": 1_000, "tr": 1_000_000, "triệu": 1_000_000, "tỷ": 1_000_000_000,
}  # fmt: skip
"""Stand alone behind the number, whatever their case; a full stop may follow."""
