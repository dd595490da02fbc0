from pipeline.line.reserve import FILE, give_up, hold, lent


def test_room_is_kept_once_and_given_up(tmp_path):
    for _ in range(2):
        hold(tmp_path)
        status = (tmp_path / FILE).stat()
        assert status.st_size == 2**19 and status.st_blocks * 512 >= 2**19
    give_up(tmp_path)
    give_up(tmp_path)
    assert not (tmp_path / FILE).exists()
    hold(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_room_is_lent_where_it_is_kept_and_kept_again_afterwards(tmp_path):
    with lent(tmp_path):
        pass
    assert not (tmp_path / FILE).exists()
    hold(tmp_path)
    with lent(tmp_path):
        assert not (tmp_path / FILE).exists()
    assert (tmp_path / FILE).stat().st_size == 2**19
