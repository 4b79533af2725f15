"""Tables are laid out so that no cell is broken."""

from scnas_deploy.cli.columns import columns_of, lay_out, width_of_table

ORGANS = ["spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach", "aorta"]


def names(block) -> list[str]:
    return [column.name for column in block]


def test_a_table_that_fits_stays_as_it_is():
    columns = columns_of(["case", "Dice of the label"], [["a", "0.5"]], ())
    assert lay_out(columns, 23).blocks == (columns,)
    assert width_of_table(columns) == 23
    assert lay_out(columns, None).blocks == (columns,)


def test_heads_are_broken_first():
    columns = columns_of(["case", "Dice of the label"], [["a", "0.5"]], ())
    ((case, dice),) = lay_out(columns, 22).blocks
    assert (case.head, dice.head) == (["case"], ["Dice", "of", "the", "label"])


def test_numbers_go_into_further_tables_with_their_rows_named_again():
    columns = columns_of(["case", "of", *ORGANS], [["case_001", "MR", *["0.1234"] * 8]], ("of",))
    found = lay_out(columns, 40)
    assert all(width_of_table(block) <= 40 for block in found.blocks)
    assert all(names(block)[:2] == ["case", "of"] for block in found.blocks)
    assert [name for block in found.blocks for name in names(block)[2:]] == ORGANS
    assert found.below == ()


def test_a_head_is_whole_where_its_own_table_has_room():
    columns = columns_of(["case", *ORGANS], [["case_001", *["0.1234"] * 8]], ())
    last = lay_out(columns, 40).blocks[-1]
    assert all(len(column.head) == 1 for column in last)


def test_the_last_words_go_below_first():
    row = ["12", "study", "5 min", "a model by a rule", "e" * 40]
    columns = columns_of(["job", "queue", "age", "what", "error"], [row], ("queue", "what", "error"))
    found = lay_out(columns, 60)
    assert [names(block) for block in found.blocks] == [["job", "queue", "age", "what"]]
    assert names(found.below) == ["error"]
    assert names(lay_out(columns, 20).below) == ["what", "error"]


def test_words_that_leave_no_room_for_a_number_go_below():
    columns = columns_of(["case", "found by", "Dice"], [["case_001", "w" * 30, "0.1234"]], ("found by",))
    found = lay_out(columns, 30)
    assert [names(block) for block in found.blocks] == [["case", "Dice"]]
    assert names(found.below) == ["found by"]


def test_no_cell_moves_the_cursor():
    (column,) = columns_of(["li\tver"], [["a\x1b[31m\nb"]], ())
    assert (column.name, column.cells) == ("li ver", ("a [31m b",))


def test_letters_of_two_cells_are_counted():
    assert columns_of(["n"], [["肝臓"]], ())[0].width == 4


def test_a_table_without_rows_has_its_heads():
    columns = columns_of(["job", "a long head"], [], ())
    assert width_of_table(columns) == 16
    assert lay_out(columns, 10).blocks[0][1].head == ["a", "long", "head"]
