"""The colours and shapes of the ten kinds of stand-in pictures, as plain tables.

All lengths are in canvas units: the longer side of a picture is 1,024 units, the origin is its
middle, x runs right and y runs down. Colours are RGB, 0 to 255.
"""

from dataclasses import dataclass
from typing import Literal

CANVAS = 1024  # units along the longer side of a picture

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ScenePart:
    """One convex piece of an object: an ellipse or a box, possibly narrowing towards its top."""

    form: Literal["ellipse", "box"]
    x: int
    y: int
    half_width: int
    half_height: int
    taper: int = 0  # how much narrower the top is, in 1/256 of the width; negative: the bottom
    detail: bool = False  # painted in the object's second colour, over its body


@dataclass(frozen=True)
class Scene:
    """One class: its horizon, its parts, and its possible colours."""

    name: str
    horizon: int  # y of the line between the two backgrounds
    above: tuple[Colour, ...]
    below: tuple[Colour, ...]
    body: tuple[Colour, ...]
    detail: tuple[Colour, ...]
    parts: tuple[ScenePart, ...]


SCENES: tuple[Scene, ...] = (
    Scene(
        "airplane",
        420,
        above=((105, 150, 205), (176, 202, 228), (235, 240, 245), (70, 105, 165)),
        below=((120, 130, 120), (150, 165, 185), (205, 215, 225), (90, 110, 90)),
        body=((235, 235, 235), (190, 195, 205), (60, 70, 85), (150, 60, 60)),
        detail=((40, 60, 110), (120, 125, 135), (200, 60, 50), (30, 30, 35)),
        parts=(
            ScenePart("ellipse", 0, 0, 400, 62),
            ScenePart("box", -20, 60, 120, 130, taper=150, detail=True),
            ScenePart("box", -335, -90, 60, 90, taper=120),
            ScenePart("ellipse", 330, -10, 40, 26, detail=True),
        ),
    ),
    Scene(
        "automobile",
        60,
        above=((150, 165, 180), (120, 130, 115), (220, 225, 228), (95, 110, 125)),
        below=((105, 105, 108), (140, 135, 128), (80, 80, 84), (190, 190, 188)),
        body=((175, 35, 35), (40, 70, 150), (215, 215, 218), (45, 48, 54), (200, 165, 45)),
        detail=((25, 25, 28), (35, 40, 48), (55, 58, 64), (20, 22, 30)),
        parts=(
            ScenePart("box", 0, 70, 380, 110, taper=40),
            ScenePart("box", 0, -90, 220, 100, taper=110),
            ScenePart("box", 0, -80, 160, 62, taper=110, detail=True),
            ScenePart("ellipse", -230, 180, 82, 82, detail=True),
            ScenePart("ellipse", 230, 180, 82, 82, detail=True),
        ),
    ),
    Scene(
        "bird",
        300,
        above=((120, 150, 95), (165, 190, 210), (95, 120, 80), (200, 205, 190)),
        below=((95, 110, 60), (130, 115, 80), (70, 85, 60), (160, 150, 120)),
        body=((125, 95, 65), (70, 75, 85), (190, 130, 60), (210, 205, 195)),
        detail=((45, 40, 38), (200, 150, 60), (235, 230, 220), (120, 40, 35)),
        parts=(
            ScenePart("ellipse", 20, 20, 215, 150),
            ScenePart("ellipse", 190, -150, 95, 90),
            ScenePart("box", -260, 90, 120, 46),
            ScenePart("ellipse", -40, 20, 140, 75, detail=True),
            ScenePart("box", 315, -145, 50, 20, detail=True),
            ScenePart("box", 30, 240, 20, 90, detail=True),
        ),
    ),
    Scene(
        "cat",
        210,
        above=((165, 145, 125), (190, 180, 170), (120, 105, 100), (215, 205, 190)),
        below=((140, 115, 95), (175, 165, 160), (100, 85, 80), (190, 170, 140)),
        body=((120, 110, 100), (195, 140, 85), (60, 56, 55), (220, 212, 200), (140, 130, 125)),
        detail=((40, 38, 36), (235, 230, 225), (95, 75, 60), (170, 160, 70)),
        parts=(
            ScenePart("ellipse", 0, 330, 290, 300),
            ScenePart("ellipse", 0, -60, 240, 215),
            ScenePart("box", -165, -250, 85, 115, taper=230),
            ScenePart("box", 165, -250, 85, 115, taper=230),
            ScenePart("ellipse", -90, -80, 44, 38, detail=True),
            ScenePart("ellipse", 90, -80, 44, 38, detail=True),
            ScenePart("ellipse", 0, 40, 70, 44, detail=True),
        ),
    ),
    Scene(
        "deer",
        120,
        above=((105, 120, 80), (140, 150, 110), (80, 95, 70), (190, 195, 180)),
        below=((120, 125, 75), (150, 140, 95), (90, 100, 55), (170, 160, 130)),
        body=((150, 110, 75), (120, 85, 55), (175, 140, 100), (95, 75, 58)),
        detail=((90, 68, 48), (60, 45, 35), (205, 190, 165), (110, 90, 70)),
        parts=(
            ScenePart("ellipse", -40, 40, 250, 135),
            ScenePart("box", 190, -100, 62, 150, taper=60),
            ScenePart("ellipse", 235, -240, 105, 62),
            ScenePart("box", -220, 250, 30, 190, detail=True),
            ScenePart("box", 120, 250, 30, 190, detail=True),
            ScenePart("box", 170, -370, 18, 110, detail=True),
            ScenePart("box", 250, -370, 18, 110, detail=True),
        ),
    ),
    Scene(
        "dog",
        240,
        above=((150, 160, 120), (200, 190, 175), (120, 125, 110), (170, 180, 195)),
        below=((125, 150, 85), (160, 150, 130), (105, 95, 85), (185, 175, 155)),
        body=((185, 150, 105), (90, 65, 48), (225, 218, 205), (55, 50, 48), (160, 105, 60)),
        detail=((50, 40, 35), (110, 75, 50), (230, 225, 218), (70, 52, 42)),
        parts=(
            ScenePart("box", 0, 330, 215, 230, taper=60),
            ScenePart("ellipse", 0, -80, 205, 230),
            ScenePart("ellipse", -205, -60, 72, 175, detail=True),
            ScenePart("ellipse", 205, -60, 72, 175, detail=True),
            ScenePart("ellipse", 0, 60, 105, 85, detail=True),
        ),
    ),
    Scene(
        "frog",
        -40,
        above=((95, 105, 70), (130, 115, 85), (70, 65, 55), (160, 170, 140)),
        below=((110, 95, 65), (85, 90, 55), (140, 130, 100), (60, 55, 45)),
        body=((105, 140, 55), (130, 120, 60), (85, 95, 60), (150, 105, 65)),
        detail=((50, 60, 30), (30, 28, 22), (190, 185, 120), (70, 60, 40)),
        parts=(
            ScenePart("ellipse", 0, 90, 330, 200),
            ScenePart("ellipse", -270, 230, 150, 95),
            ScenePart("ellipse", 270, 230, 150, 95),
            ScenePart("ellipse", -130, -100, 82, 80),
            ScenePart("ellipse", 130, -100, 82, 80),
            ScenePart("ellipse", -130, -105, 44, 42, detail=True),
            ScenePart("ellipse", 130, -105, 44, 42, detail=True),
        ),
    ),
    Scene(
        "horse",
        90,
        above=((160, 185, 210), (110, 130, 90), (205, 212, 215), (130, 145, 130)),
        below=((115, 140, 70), (165, 145, 105), (90, 110, 60), (180, 170, 140)),
        body=((110, 65, 40), (60, 42, 35), (150, 100, 60), (205, 198, 190)),
        detail=((35, 28, 26), (75, 48, 34), (55, 45, 42), (120, 85, 60)),
        parts=(
            ScenePart("ellipse", -30, 10, 270, 140),
            ScenePart("box", 235, -140, 85, 170, taper=90),
            ScenePart("ellipse", 310, -260, 120, 66),
            ScenePart("box", -230, 240, 38, 200),
            ScenePart("box", 160, 240, 38, 200),
            ScenePart("box", -310, 60, 34, 150, detail=True),
            ScenePart("box", 175, -220, 40, 120, detail=True),
        ),
    ),
    Scene(
        "ship",
        110,
        above=((150, 185, 215), (200, 215, 228), (110, 140, 175), (225, 205, 185)),
        below=((55, 95, 130), (85, 120, 140), (40, 65, 90), (110, 145, 160)),
        body=((235, 235, 232), (60, 70, 90), (150, 55, 45), (120, 125, 130)),
        detail=((215, 215, 218), (160, 60, 50), (45, 55, 75), (245, 245, 245)),
        parts=(
            ScenePart("box", 0, 130, 410, 85, taper=-70),
            ScenePart("box", -40, -20, 230, 75, detail=True),
            ScenePart("box", -80, -150, 110, 70, taper=40),
            ScenePart("box", 130, -150, 18, 180, detail=True),
            ScenePart("box", -90, -270, 34, 80, detail=True),
        ),
    ),
    Scene(
        "truck",
        130,
        above=((165, 190, 215), (140, 140, 130), (210, 215, 218), (100, 115, 100)),
        below=((115, 112, 108), (150, 140, 120), (90, 90, 92), (175, 170, 160)),
        body=((225, 222, 215), (185, 50, 40), (60, 95, 150), (215, 160, 40), (80, 110, 80)),
        detail=((30, 30, 33), (50, 55, 62), (22, 24, 28), (70, 70, 74)),
        parts=(
            ScenePart("box", -120, -70, 300, 230),
            ScenePart("box", 285, 20, 125, 150, taper=60),
            ScenePart("box", 295, -30, 80, 62, taper=70, detail=True),
            ScenePart("box", 0, 185, 420, 26, detail=True),
            ScenePart("ellipse", -270, 225, 88, 88, detail=True),
            ScenePart("ellipse", -60, 225, 88, 88, detail=True),
            ScenePart("ellipse", 280, 225, 88, 88, detail=True),
        ),
    ),
)
