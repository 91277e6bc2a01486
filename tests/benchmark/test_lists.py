import torch

from benchmark.data.lists import Lists

ROWS = [[4, 2], [], [7, 7, 1], [5], []]


def lists_of(rows):
    bounds = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)
    return Lists(torch.tensor([value for row in rows for value in row]), bounds)


def test_rows_are_listed_in_any_order_and_more_than_once():
    """The values of each row that was asked for, with its place in the question."""
    place, values = lists_of(ROWS).of(torch.tensor([2, 1, 0, 2]))

    assert [0, 0, 0, 2, 2, 3, 3, 3] == place.tolist()
    assert [7, 7, 1, 4, 2, 7, 7, 1] == values.tolist()


def test_some_rows_alone_are_lists_again():
    """In the order that was asked for, empty rows included."""
    some = lists_of(ROWS).only(torch.tensor([3, 4, 0]))

    assert [[5], [], [4, 2]] == [some.of(torch.tensor([row]))[1].tolist() for row in range(3)]
    assert [1, 0, 2] == some.counts(torch.arange(3)).tolist()


def test_nothing_asked_for_is_nothing():
    """No rows have no values."""
    none = torch.zeros(0, dtype=torch.long)

    assert [0, 0] == [len(one) for one in lists_of(ROWS).of(none)]
    assert [0] == lists_of(ROWS).only(none).bounds.tolist()
