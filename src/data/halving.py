"""An image at half its resolution, and at half of that: larger structures come to fill a patch of the same size.

Source: HERE's web portal (data2intelligence/HERE_website, `app_common.py`), whose users search again by half the
resolution until the smaller side is below 256 px.
"""

from __future__ import annotations

import PIL.Image

from src.data.image_pixels import ImagePixels
from src.data.slide import PyramidSlide


def halved(slide: PyramidSlide, halvings: int) -> PyramidSlide:
    """A plain image with both sides halved `halvings` times: bicubic in one step, sides rounded down.

    Its microns per pixel stay as they are, though a pixel is wider now: that is what makes its patches see more tissue.

    Args:
        slide: read whole into memory.
        halvings: 0 to `most_halvings` of its smaller side.
    """
    size = slide.width_px, slide.height_px
    image = PIL.Image.fromarray(slide.read(0, 0, size, slide.mpp))
    smaller = image.resize((size[0] >> halvings, size[1] >> halvings), PIL.Image.Resampling.BICUBIC)
    return PyramidSlide(slide.slide_id, ImagePixels(smaller), slide.mpp, slide.mpp_source, slide.background)


def most_halvings(side_px: int, smallest_px: int = 1) -> int:
    """How often a side can be halved and keep at least `smallest_px` pixels; 0 where it is smaller from the start.

    >>> most_halvings(1024, 256), most_halvings(1023, 256), most_halvings(200, 256), most_halvings(5)
    (2, 1, 0, 2)
    """
    return max(0, (side_px // smallest_px).bit_length() - 1)
