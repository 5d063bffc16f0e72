"""What an AIM network is made of, as data. One code path serves every size; knows no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aim_policy.config import ConfigError, load_config, unknown_name
from aim_policy.robot import share_dir


def _require(holds: bool, name: str, found: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f'{name} is {found}, expected {expected}')


def _require_positive(config: object, *names: str) -> None:
    for name in names:
        _require(getattr(config, name) > 0, name, getattr(config, name), 'a positive number')


@dataclass(frozen=True)
class ViewConfig:
    """One camera's rectangle on the canvas."""

    camera: str  # name in the robot YAML
    height: int  # pixels that its image is scaled to
    width: int
    row: int  # first latent row on the canvas
    column: int


@dataclass(frozen=True)
class SamplingConfig:
    """How noise becomes a chunk (section 3.6)."""

    video_steps: int = 5  # N_v, joint steps of x and m; 0 acts on a black map
    video_shift: float = 5.0  # s of their grid; more of it spends more steps at high noise
    sigma_end: float = 0.0  # noise level at which x and m stop
    guidance: float = 1.0  # how far x is pushed towards the instruction; 1 leaves it as learned
    imagine_rgb: bool = True  # False leaves x out: m then sees the past only
    extra_freeze_pass: bool = False  # a reads m at sigma_end, not as the last step saw it
    action_steps: int = 10  # N_a
    action_shift: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self, 'video_shift', 'guidance', 'action_steps', 'action_shift')
        _require(self.video_steps >= 0, 'video_steps', self.video_steps, 'at least 0')
        holds = 0.0 <= self.sigma_end < 1.0
        _require(holds, 'sigma_end', self.sigma_end, 'at least 0 and under 1')
        if self.guidance != 1.0:
            _require(self.imagine_rgb, 'imagine_rgb', self.imagine_rgb, 'true with guidance')

    def preset(self, name: str) -> SamplingConfig:
        """This, with the numbers of one of `PRESETS`; '' leaves it as it is.

        Raises:
            ConfigError: no such preset.
        """
        if name and name not in PRESETS:
            raise unknown_name('preset', name, PRESETS)
        steps = dict(zip(PRESET_COLUMNS, PRESETS[name], strict=True)) if name else {}
        return replace(self, **steps)  # type: ignore[arg-type]


STREAMS = 'rgb', 'value'
PRESET_COLUMNS = 'video_steps', 'sigma_end', 'guidance', 'imagine_rgb', 'action_steps'
PRESETS = {
    'reference': (25, 0.0, 5.0, True, 50),  # quality first
    'paper-lva': (3, 0.6, 1.0, True, 10),  # the partial schedule of LingBot-VA's paper
    'realtime': (5, 0.0, 1.0, True, 10),
    'flash': (1, 0.0, 1.0, True, 4),  # wants training for few steps
    'value-only': (3, 0.0, 1.0, False, 10),  # wants training with x left out at times
    'action-only': (0, 0.0, 1.0, False, 10),  # when there is no time to imagine
}
"""The table of section 3.6. Shifts and the freeze pass stay those that a model was trained for."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and options of an AIM network; letters as in `aim_policy.interface`."""

    name: str
    views: tuple[ViewConfig, ...]  # together they cover the canvas without a gap
    cell_px: int  # pixels along a latent cell
    latent_channels: int
    patch: int  # latent cells along a token
    frames: int  # F, latent frames of x and m per chunk
    steps: int  # K
    action_dim: int  # A
    width: int  # D of o, x and m
    action_width: int  # D of the action head
    heads: int  # of the attention that all streams share
    head_dim: int
    layers: int  # depth of every stream
    ffn: int
    action_ffn: int
    text_dim: int
    text_tokens: int  # L, vectors per instruction
    frequency_dim: int = 256  # sines and cosines that describe a noise level
    action_unit_rad: float = 0.05  # motion relative to the commanded joints that counts as 1
    own_value_weights: bool = True  # m has its own Q, K, V, O and patch embedding, else those of x
    text_to_observation: bool = True
    text_to_value: bool = False
    proprioception: bool = False  # a sees a token of the measured and commanded joints
    action_reads: tuple[str, ...] = ('value',)  # streams of the future that a sees: rgb, value
    history_to_action: bool = False  # a sees all observed frames, not only the current one
    align_current: bool = False  # x and m tokens start with the current latent of their place
    history_frames: int = 1  # latent frames that a chunk is planned from, the current one included
    pin_first_frame: bool = False  # the episode's first frame stays in sight beside those
    coordinate_features: bool = False  # tokens say where in their view, or when in the chunk
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        numbers = [name for name, hint in self.__annotations__.items() if hint in ('int', 'float')]
        _require_positive(self, *numbers)
        whole, cell_numbers = self.steps % self.frames == 0, 3 * self.cell_px**2
        for name in self.action_reads:
            if name not in STREAMS:
                raise unknown_name('action_reads', name, STREAMS)
        even_head = self.head_dim >= 6 and self.head_dim % 2 == 0
        narrow, coded = self.action_width <= self.width, self.latent_channels <= cell_numbers
        _require(whole, 'steps', self.steps, f'a multiple of frames {self.frames}')
        _require(even_head, 'head_dim', self.head_dim, 'an even number from 6 up')
        _require(
            self.frequency_dim % 2 == 0, 'frequency_dim', self.frequency_dim, 'an even number'
        )
        _require(narrow, 'action_width', self.action_width, f'at most width {self.width}')
        _require(coded, 'latent_channels', self.latent_channels, f'at most {cell_numbers}')
        self._check_views()

    def _check_views(self) -> None:
        cameras = [view.camera for view in self.views]
        distinct = 0 < len(cameras) == len(set(cameras))
        _require(distinct, 'views', ', '.join(cameras) or 'empty', 'cameras that differ')
        token_px = self.cell_px * self.patch
        least = {'height': token_px, 'width': token_px, 'row': 0, 'column': 0}
        for view in self.views:
            for name, low in least.items():
                value, unit = getattr(view, name), low or self.patch
                fits, expected = value >= low, f'a multiple of {unit} from {low} up'
                _require(fits and value % unit == 0, f'{view.camera} {name}', value, expected)
        taken = [cell for view in self.views for cell in self.cells(view)]
        if len(set(taken)) < len(taken):
            raise ConfigError('views overlap, expected each canvas cell in one view')
        empty = self.rows * self.columns - len(taken)
        _require(empty == 0, 'number of canvas cells without a view', empty, '0')

    def cells(self, view: ViewConfig) -> list[tuple[int, int]]:
        """Return the canvas cells (row, column) of a view, row by row."""
        height, width = view.height // self.cell_px, view.width // self.cell_px
        return [(view.row + r, view.column + c) for r in range(height) for c in range(width)]

    @property
    def rows(self) -> int:
        """Latent rows of the canvas."""
        return max(view.row + view.height // self.cell_px for view in self.views)

    @property
    def columns(self) -> int:
        """Latent columns of the canvas."""
        return max(view.column + view.width // self.cell_px for view in self.views)

    @property
    def token_numbers(self) -> int:
        """Latent numbers in one token."""
        return self.latent_channels * self.patch**2

    @property
    def steps_per_frame(self) -> int:
        """n_a, actions per latent frame."""
        return self.steps // self.frames

    @property
    def remembers(self) -> bool:
        """Whether a chunk is planned from the keys of a past."""
        return self.history_frames > 1

    @property
    def recalls_first(self) -> bool:
        """Whether a chunk is planned from the episode's first frame and the current one alone."""
        return self.pin_first_frame and not self.remembers

    @property
    def frames_in_sight(self) -> int:
        """Latent frames of the past and of now that a chunk sees, once there are enough."""
        return self.pin_first_frame + self.history_frames


def load_model_config(name: str, changes: Iterable[str] = ()) -> ModelConfig:
    """Load a model config by the name of its YAML under config/model/, or by a path.

    Entries of it are replaced by `changes` as `load_config` takes them.

    Raises:
        ConfigError: no such model, or a mistake in its YAML.
    """
    if '/' in name or name.endswith('.yaml'):
        return load_config(ModelConfig, name, changes)
    folder = share_dir() / 'config' / 'model'
    path = folder / f'{name}.yaml'
    if not path.is_file():
        raise unknown_name('model', name, [p.stem for p in folder.glob('*.yaml')])
    return load_config(ModelConfig, path, changes)
