"""Painting stand-in pictures in integer arithmetic, so that every machine paints the same bytes.

A picture has two backgrounds that meet at a horizon, an object, light on the object, texture on
everything, and a sensor's grain. The code uses no floating point and no mathematical library, only
integer adds, multiplies, shifts, comparisons and look-ups.

Scales: opacities run from 0 to OPAQUE; relief, light and grain are in quarters of a grey level;
lengths are in the canvas units of `standin_scenes`. The ranges are chosen so that every product
fits its int16 or int32; the comments name the tight bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .standin_chance import Draws, RandomBytes, quantile
from .standin_scenes import CANVAS, SCENES, Colour, Scene, ScenePart

Shorts = NDArray[np.int16]
Ints = NDArray[np.int32]

OPAQUE = 128  # OPAQUE times 255, the largest colour difference, fits int16
RIM = 256  # the depth of an object's middle; its outline is at 0
BYTES_PER_PICTURE = 64  # random bytes for all `Draws` of one picture

# Quantiles of a picture's texture and grain, the smoothest picture first. One rank drives both: in
# photographs a blurred background and low grain occur together, which makes the long left tail
# of CIFAR-10's PNG sizes. Fitted to the sizes in DESIGN section 4; test_datasets_standin.py checks.
TEXTURE = (6, 16, 50, 80, 100, 111, 121, 130, 138, 146, 154, 162, 173, 188, 208, 238, 255)
GRAIN = (1, 3, 6, 9, 11, 13, 14, 15, 16, 17, 18, 19, 20, 22, 26, 35, 48)


@dataclass(frozen=True)
class Frame:
    """The pixels of a block of pictures in canvas units."""

    labels: NDArray[np.int64]
    height: int
    width: int

    @property
    def pixel(self) -> int:
        """Canvas units in one pixel."""
        return max(CANVAS // max(self.height, self.width), 1)

    @property
    def x(self) -> Ints:
        """The x of pixel centres, from the middle to the right: (1, 1, width)."""
        return self._centres(self.width)[None, None, :]

    @property
    def y(self) -> Ints:
        """The y of pixel centres, from the middle down: (1, height, 1)."""
        return self._centres(self.height)[None, :, None]

    def _centres(self, size: int) -> Ints:
        steps = 2 * np.arange(size, dtype=np.int32) + 1 - size
        return (steps * (CANVAS // 2)) // max(self.height, self.width)


def paint(
    labels: NDArray[np.int64], source: RandomBytes, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Paint one picture of each label's class: (n, height, width, 3) uint8.

    labels: (n,) int64, each an index into `SCENES`
    source: the random bytes of this block of pictures
    size: height and width in pixels
    """
    frame = Frame(labels, *size)
    draws = Draws(source, len(labels), BYTES_PER_PICTURE)
    rank = draws.between(0, 255)
    swell = _cloud(frame, source, 1, draws.between(90, 250), draws.between(90, 150))
    texture = _cloud(frame, source, 3, quantile(TEXTURE, rank), draws.between(180, 256))

    canvas, ground = _backdrop(frame, draws, swell, texture)
    body, light = _object(frame, draws, canvas, swell, texture)

    # Ground is rougher than sky, and most objects are smoother than their background. The weight is
    # at most 150, and 150 times 215 just fits int16.
    weight = _short(draws.between(50, 100)) + ((_short(draws.between(0, 50)) * ground) >> 7)
    weight -= (_short(draws.between(0, 90)) * body) >> 7
    light += (np.clip(texture, -215, 215) * np.maximum(weight, 0)) >> 6
    return _exposed(frame, source, canvas, light, quantile(GRAIN, rank))


def _backdrop(frame: Frame, draws: Draws, swell: Shorts, texture: Shorts) -> tuple[Shorts, Shorts]:
    """The canvas with both backgrounds, (n, 3, H, W), and the lower one's opacity, (n, H, W)."""
    canvas = np.empty((len(frame.labels), 3, frame.height, frame.width), np.int16)
    canvas[:] = _colour(frame, draws, lambda scene: scene.above)[:, :, None, None]

    # Clouds, foliage or an even fade: patches of a second colour, from blurred to crisp.
    crispness = _int(draws.between(0, 16) ** 2)
    fade = (frame.y * _int(draws.between(-50, 50))) >> 8
    patches = _opacity((((swell + (texture >> 1)) * crispness) >> 7) + fade)
    _blend(canvas, _colour(frame, draws, lambda scene: scene.above), patches)

    level = np.array([scene.horizon for scene in SCENES], np.int32)[frame.labels]
    depth = (frame.y - _int(level + draws.between(-90, 90))) * 4
    depth = depth + (frame.x * _int(draws.between(-1, 1))) // 2
    depth = depth + swell * _int(draws.between(0, 4)) + texture
    sharpness = _int(draws.between(4, 60))
    ground = _opacity((depth * sharpness) // (8 * frame.pixel))
    _blend(canvas, _colour(frame, draws, lambda scene: scene.below), ground)
    second = (ground * (OPAQUE - patches)) >> 8
    _blend(canvas, _colour(frame, draws, lambda scene: scene.below), second)
    return canvas, ground


def _object(
    frame: Frame, draws: Draws, canvas: Shorts, swell: Shorts, texture: Shorts
) -> tuple[Shorts, Shorts]:
    """Paint the object; return the opacity of its body and the light on it, both (n, H, W)."""
    # The object's own axes: shifted, scaled, mirrored, leaning, with an uneven outline.
    across = frame.x - _int(draws.between(-90, 90))
    down = frame.y - _int(draws.between(-70, 70))
    scale, facing = draws.between(200, 330), draws.between(0, 1) * 2 - 1
    lean, stretch = draws.between(-60, 60), draws.between(-40, 40)
    bumps = ((texture + (swell >> 1)) * _int(draws.between(0, 2))) >> 3
    along = across * _int(facing * scale) + down * _int(lean)
    below = down * _int(scale + stretch)
    below = below - across * _int((lean * facing) // 2)
    along, below = (along >> 8) + bumps, (below >> 8) - bumps

    body, detail, dome = _outline(frame, along, below)
    _blend(canvas, _colour(frame, draws, lambda scene: scene.body), body)
    _blend(canvas, _colour(frame, draws, lambda scene: scene.detail), detail)
    slant: Ints = below * _int(draws.between(-60, 10))
    slant += along * _int(draws.between(-30, 30))
    light: Shorts = (dome - RIM // 2) * _short(draws.between(0, 3))
    light += (slant >> 7).astype(np.int16)
    # 255 times OPAQUE still fits int16.
    return body, (np.clip(light, -255, 255) * body) >> 7


def _outline(frame: Frame, along: Ints, below: Ints) -> tuple[Shorts, Shorts, Shorts]:
    """The opacity of the object's body and of its detail, and the body's depth, all (n, H, W)."""
    body, detail, dome = (np.zeros(along.shape, np.int16) for _ in range(3))
    for label, scene in enumerate(SCENES):
        rows = np.flatnonzero(frame.labels == label)
        if not len(rows):
            continue
        for part in scene.parts:
            inside = _inside(part, along[rows], below[rows])
            # An outline is about 1.75 pixels soft, as in a downscaled picture.
            blunt = min(part.half_width, part.half_height)
            opacity = _opacity((inside * blunt) // (7 * frame.pixel))
            layer = detail if part.detail else body
            layer[rows] = np.maximum(layer[rows], opacity)
            if not part.detail:
                dome[rows] = np.maximum(dome[rows], np.clip(inside, 0, RIM).astype(np.int16))
    return body, detail, dome


def _inside(part: ScenePart, along: Ints, below: Ints) -> Ints:
    """The depth of each point in a part: RIM in its middle, 0 on its outline, negative outside."""
    reach = 1500  # the largest distance that matters; its square and later products fit int32
    below = np.clip(((below - part.y) * (65536 // part.half_height)) >> 8, -reach, reach)
    along = along - part.x
    narrowing = 256 - ((part.taper * np.clip(below, -256, 256)) >> 9)
    along = (along * narrowing) >> 8
    along = np.clip((along * (65536 // part.half_width)) >> 8, -reach, reach)
    along, below = along * along, below * below
    distance = along + below if part.form == "ellipse" else np.maximum(along, below)
    return RIM - (distance >> 8)


def _exposed(
    frame: Frame, source: RandomBytes, canvas: Shorts, light: Shorts, grain: Ints
) -> NDArray[np.uint8]:
    """The finished pictures: light and grain added, clipped, channels last."""
    count = len(frame.labels)
    noise_bytes = source.take(4, count, frame.height, frame.width)
    # The sum of two nibbles is triangular from -15 to 15, close enough to a sensor's noise.
    noise = (((noise_bytes & 15) + (noise_bytes >> 4)).astype(np.int16) - 15) * _short(grain)
    light = light + (noise[3] >> 3)
    for channel in range(3):
        canvas[:, channel] += (light + (noise[channel] >> 4)) >> 2
    return np.ascontiguousarray(np.clip(canvas, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def _cloud(
    frame: Frame, source: RandomBytes, octave: int, strength: Ints, roughness: Ints
) -> Shorts:
    """Random relief, (n, H, W): octaves of noise, each twice as fine as the previous one.

    The first octave has cells of 1/2**octave of the canvas and amplitudes of `strength` (n,), the
    next 1/2**(octave + 1) and strength * roughness / 256, down to cells of two pixels. There is no
    octave of single pixels: neighbouring pixels of a photograph are alike. The largest sum, eight
    octaves of 250, is 2,000; three times that, in `_doubled`, is far inside int16.
    """
    cell = max((1 << (max(frame.height, frame.width) - 1).bit_length()) >> octave, 1)
    relief = np.zeros(
        (len(frame.labels), -(-frame.height // cell), -(-frame.width // cell)), np.int16
    )
    while True:
        noise = source.take(*relief.shape).view(np.int8).astype(np.int16)
        relief = relief + ((noise * _short(strength)) >> 7)
        if cell == 1:
            return relief
        cell //= 2
        relief = _doubled(_doubled(relief, 1), 2)
        relief = relief[:, : -(-frame.height // cell), : -(-frame.width // cell)]
        if cell == 1:
            return relief
        strength = (strength * roughness) >> 8


def _doubled(relief: Shorts, axis: int) -> Shorts:
    """Double the cells along an axis: each is 3/4 of its old cell and 1/4 of the nearest other."""
    cells = relief.shape[axis]
    near = 3 * relief + 2
    before = relief.take([0, *range(cells - 1)], axis)
    after = relief.take([*range(1, cells), cells - 1], axis)
    shape = list(relief.shape)
    shape[axis] = 2 * cells
    pairs: Shorts = np.stack([(near + before) >> 2, (near + after) >> 2], axis + 1)
    return pairs.reshape(shape)


def _colour(frame: Frame, draws: Draws, palette: Callable[[Scene], tuple[Colour, ...]]) -> Shorts:
    """A colour for each picture, one of its class's, varied slightly: (n, 3)."""
    pick = draws.between(0, 255)
    colours = np.empty((len(frame.labels), 3), np.int32)
    for label, scene in enumerate(SCENES):
        rows = np.flatnonzero(frame.labels == label)
        options = np.array(palette(scene), np.int32)
        colours[rows] = options[(pick[rows] * len(options)) >> 8]
    tint = np.stack([draws.between(-24, 24) for _ in range(3)], axis=1)
    brightness = draws.between(-80, 70)[:, None]
    varied: Ints = np.clip(colours + tint + brightness, 0, 255)
    return varied.astype(np.int16)


def _blend(canvas: Shorts, colour: Shorts, opacity: Shorts) -> None:
    """Paint a colour for each picture, (n, 3), over the canvas, (n, 3, H, W), in place."""
    for channel in range(3):
        plane = canvas[:, channel]
        plane += ((colour[:, channel, None, None] - plane) * opacity) >> 7


def _opacity(depth: Ints) -> Shorts:
    """The opacity at a depth: half opaque at 0, more above and less below."""
    return np.clip(depth + OPAQUE // 2, 0, OPAQUE).astype(np.int16)


def _short(values: Ints) -> Shorts:
    """A number for each picture as int16, in a shape that broadcasts with (n, H, W)."""
    return values.astype(np.int16)[:, None, None]


def _int(values: Ints) -> Ints:
    """The same as int32, for products that need 32 bits."""
    return values[:, None, None]
