from pipeline.line.reserve import FILE, give_up, hold


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
