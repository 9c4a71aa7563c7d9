"""How much of everything: as the targets have it, or tiny, which proves that it works and measures nothing."""

import dataclasses


@dataclasses.dataclass
class Sizes:
    rounds: int = 5
    seconds: int = 4
    routes: tuple = ((10, 1), (1000, 100), (10_000, 1000))  # on so many hosts
    starts: int = 20
    reloads: int = 20
    revoked: int = 1_000_000
    stored: int = 100_000
    first_calls: int = 500
    windows: int = 5
    window: float = 6
    connections: tuple = (1000, 5000)
    soak: float = 600
    settle: float = 10


TINY = Sizes(
    rounds=1, seconds=1, routes=((10, 1), (500, 50)), starts=3, reloads=3, revoked=20_000, stored=2000, first_calls=20, windows=1, window=2,
    connections=(50, 200), soak=6, settle=1,
)
