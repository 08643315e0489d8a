"""Pictures and plots inside the page."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pigan.report.embed import contact_sheet, data_uri, image_uri, inline_svg
from pigan.report.figures import INK
from pigan.report.provenance import git_commit
from pigan.report.runfigures import smooth


def test_image_survives_the_address() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    head, body = image_uri(image).split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as back:
        np.testing.assert_array_equal(np.asarray(back), image)


def test_address_says_its_type(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\x00\x01")
    assert data_uri(path) == "data:video/mp4;base64,AAE="


def test_contact_sheet_enlarges_by_whole_factors() -> None:
    images = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = contact_sheet(images, rows=2, columns=2, tile=12)
    assert sheet.shape == (25, 25, 3)
    assert (sheet[:12, :12] == 10).all()
    assert (sheet[:12, 13:] == 20).all()
    assert (sheet[13:, :12] == 30).all()
    assert (sheet[13:, 13:] == 255).all()


def test_svg_takes_the_colours_and_ids_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "fid.svg"
    path.write_text(
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><metadata>http://x</metadata>'
        f'<path id="a" style="fill: {INK}" clip-path="url(#a)"/><use xlink:href="#a"/></svg>'
    )
    text = str(inline_svg(path, 'a "plot"'))
    assert text.startswith('<svg viewBox="0 0 9 9" role="img" aria-label="a &#34;plot&#34;">')
    assert 'id="fid-a"' in text
    assert "url(#fid-a)" in text
    assert '<use href="#fid-a"/>' in text
    assert "http" not in text
    assert INK not in text


def test_smoothing_keeps_a_constant_and_skips_gaps() -> None:
    values = np.full(100, 3.0)
    values[40] = np.nan
    np.testing.assert_allclose(smooth(values), 3.0)


def test_smoothing_lowers_the_noise() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    assert smooth(noise).std() < 0.5 * noise.std()


def test_no_git_is_no_commit(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
