import dataclasses

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from aim_policy.config import ConfigError
from aim_policy.model.aim import AimModel
from aim_policy.model.config import ViewConfig, load_model_config
from aim_policy.tokenizers.fit import figures, fit
from aim_policy.tokenizers.linear import LinearTokenizer
from aim_policy.wan.vae import WanVae

CHANNELS = 48
TINY_VAE = {
    'base_dim': 8, 'decoder_base_dim': 8, 'z_dim': CHANNELS, 'num_res_blocks': 1,
    'is_residual': True, 'in_channels': 12, 'out_channels': 12, 'patch_size': 2,
    'scale_factor_spatial': 16, 'scale_factor_temporal': 4,
    'latents_mean': [0.1] * CHANNELS, 'latents_std': [0.5] * CHANNELS,
}  # fmt: skip
COLOURS = torch.tensor([[0.7, -0.8, -0.9], [-0.9, -0.8, 0.5]])


@pytest.fixture(scope='module')
def vae_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wan') / 'vae'
    torch.manual_seed(0)
    AutoencoderKLWan(**TINY_VAE).save_pretrained(folder)
    return folder


@pytest.fixture(scope='module')
def wan(vae_folder):
    return WanVae.load(vae_folder)


def clip(frames, height=32, width=48, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(1, frames, 3, height, width, generator=draw) * 2 - 1


def in_pieces(stream, frames, sizes):
    return torch.cat([stream.encode(piece) for piece in frames.split(sizes, dim=1)], dim=2)


def test_the_vae_gives_the_normalised_mode_of_diffusers(wan):
    frames = clip(9)
    with torch.no_grad():
        code = wan.vae.encode(frames.transpose(1, 2)).latent_dist.mode()
    latents = wan.encode(frames)
    assert latents.shape == (1, 48, 3, 2, 3)
    assert torch.allclose(latents, (code - 0.1) / 0.5, atol=1e-6)


@pytest.mark.parametrize('sizes', [(1, 4, 4), (5, 4), (1, 8)])
def test_frames_as_they_arrive_encode_like_the_whole_clip(wan, sizes):
    frames = clip(9)
    assert torch.equal(in_pieces(wan.stream(), frames, sizes), wan.encode(frames))


def test_clips_do_not_know_of_each_other(wan):
    one, other = wan.stream(), wan.stream()
    first, second = clip(5, seed=1), clip(5, 16, 16, seed=2)
    pieces = [(one.encode(a), other.encode(b)) for a, b in
              zip(first.split((1, 4), 1), second.split((1, 4), 1), strict=True)]  # fmt: skip
    codes = [torch.cat(parts, dim=2) for parts in zip(*pieces, strict=True)]
    assert torch.equal(codes[0], wan.encode(first))
    assert torch.equal(codes[1], wan.encode(second))


@pytest.mark.parametrize(('start', 'count', 'expected'), [
    (True, 3, r'1 \+ a multiple of 4'), (True, 0, r'1 \+ a multiple of 4'),
    (False, 2, 'a multiple of 4'), (False, 0, 'a multiple of 4'),
])  # fmt: skip
def test_a_piece_that_splits_a_latent_is_refused_and_changes_nothing(wan, start, count, expected):
    stream, frames = wan.stream(), clip(5)
    codes = [] if start else [stream.encode(frames[:, :1])]
    with pytest.raises(ValueError, match=f'clip piece has {count} frames, expected {expected}'):
        stream.encode(clip(count))
    codes.append(stream.encode(frames if start else frames[:, 1:]))
    assert torch.equal(torch.cat(codes, dim=2), wan.encode(frames))


def test_each_latent_decodes_to_the_last_of_its_frames(wan):
    latents = wan.encode(clip(9))
    with torch.no_grad():
        whole = wan.vae.decode(latents * 0.5 + 0.1).sample
    frames = wan.decode(latents)
    assert torch.equal(frames, whole[:, :, [0, 4, 8]].transpose(1, 2))
    assert torch.equal(wan.decode(latents[:, :, 1:], before=latents[:, :, :1]), frames[:, 1:])


def test_maps_are_grey_pictures_to_the_vae(wan):
    heat = torch.rand(1, 5, 32, 48, generator=torch.Generator().manual_seed(0))
    latents = wan.encode_maps(heat)
    assert torch.equal(latents, wan.encode((2 * heat - 1)[:, :, None].expand(1, 5, 3, 32, 48)))
    assert wan.decode_maps(latents).shape == (1, 2, 32, 48)


WAN_VIEWS = (ViewConfig('head_camera', 32, 64, 0, 0), ViewConfig('left_camera', 32, 64, 2, 0))
WAN_SIZES = dataclasses.replace(
    load_model_config('test'), views=WAN_VIEWS, cell_px=16, latent_channels=48
)


@pytest.fixture(scope='module')
def model(wan):
    return AimModel(WAN_SIZES, tokenizer=wan).eval()


def views(frames):
    return {view.camera: clip(frames, 32, 64, seed) for seed, view in enumerate(WAN_VIEWS)}


def test_views_are_encoded_apart_and_meet_on_the_canvas(model, wan):
    latents = model.encode(views(5))
    assert latents.shape == (1, 48, 2, 4, 4)
    for camera, part in model.canvas.split(latents).items():
        assert torch.equal(part, wan.encode(views(5)[camera]))
    for camera, frames in model.decode(latents[:, :, 1:], before=latents[:, :, :1]).items():
        assert torch.equal(frames, wan.decode(model.canvas.split(latents)[camera])[:, 1:])


def test_the_canvas_of_a_stream_equals_that_of_the_clip(model):
    stream, whole = model.stream(), views(9)
    pieces = [{c: v[:, a:b] for c, v in whole.items()} for a, b in ((0, 1), (1, 5), (5, 9))]
    streamed = torch.cat([stream.encode(piece) for piece in pieces], dim=2)
    assert torch.equal(streamed, model.encode(whole))


def test_a_tokenizer_of_other_sizes_is_refused(wan):
    with pytest.raises(ConfigError, match='cell_px is 8, expected 16 like the tokenizer'):
        AimModel(load_model_config('test'), tokenizer=wan)
    fewer = dataclasses.replace(WAN_SIZES, latent_channels=24)
    with pytest.raises(ConfigError, match='latent_channels is 24, expected 48 like the tokenizer'):
        AimModel(fewer, tokenizer=wan)


def test_the_vae_is_frozen_and_carries_no_gradient(wan):
    assert not any(parameter.requires_grad for parameter in wan.parameters())
    assert not wan.encode(clip(1).requires_grad_()).requires_grad


def test_a_vae_in_bf16_computes_in_it(vae_folder):
    small = WanVae.load(vae_folder)
    small.vae.to(torch.bfloat16)
    latents = small.encode(clip(1))
    assert latents.dtype == torch.float32
    assert small.decode(latents).dtype == torch.float32


def test_a_vae_folder_that_does_not_fit_is_refused(vae_folder, tmp_path):
    with pytest.raises(ConfigError, match='config.json: cannot be read'):
        WanVae.load(tmp_path)
    (tmp_path / 'config.json').write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(ConfigError, match='is AutoencoderKL, expected AutoencoderKLWan'):
        WanVae.load(tmp_path)
    (tmp_path / 'config.json').write_bytes((vae_folder / 'config.json').read_bytes())
    tensors = load_file(vae_folder / 'diffusion_pytorch_model.safetensors')
    tensors['quant_conv.bias'] = torch.zeros(7)
    save_file(tensors, tmp_path / 'diffusion_pytorch_model.safetensors')
    with pytest.raises(ConfigError, match=r'quant_conv.bias has shape \[7\], expected \[96\]'):
        WanVae.load(tmp_path)


def test_a_stream_of_the_linear_code_equals_the_clip():
    frames, tokenizer = clip(9), LinearTokenizer(8, 24)
    assert torch.equal(in_pieces(tokenizer.stream(), frames, (1, 4, 4)), tokenizer.encode(frames))


def tabletop(count, height, width, seed=0):
    """Pictures of a plain table with a small coloured box each, and maps of where it stands."""
    draw = torch.Generator().manual_seed(seed)
    frames = torch.full((count, 3, height, width), 0.6)
    frames += 0.02 * torch.randn(count, 3, height, width, generator=draw)
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    maps = torch.empty(count, height, width)
    for frame, heat in zip(frames, maps, strict=True):
        row, column = (torch.rand(2, generator=draw) * torch.tensor([height, width])).tolist()
        box = (rows[:, None] - row).abs().lt(4) & (columns - column).abs().lt(5)
        frame[:, box] = COLOURS[torch.randint(2, (), generator=draw)][:, None]
        heat[:] = torch.exp(-((rows[:, None] - row) ** 2 + (columns - column) ** 2) / 18)
    return frames, maps


@pytest.fixture(scope='module')
def fitted():
    views = [tabletop(60, 48, 64), tabletop(60, 24, 32, seed=1)]
    frames, maps = zip(*views, strict=True)
    return fit(frames, maps, cell_px=8, channels=24)


def test_a_fit_finds_a_better_code_than_the_cosines(fitted):
    tokenizer, fit_figures = fitted
    frames, maps = tabletop(20, 48, 64, seed=2)  # pictures that the fit did not see
    found, unfitted = (
        figures(code, [frames], [maps]) for code in (tokenizer, LinearTokenizer(8, 24))
    )
    assert found.picture_error < 0.9 * unfitted.picture_error
    assert found.picture_error < 0.3 * found.picture_spread
    assert found.peak_median_px <= 0.1
    assert found.peak_worst_px <= 1
    assert found.brightest_pixel_worst_px <= 2
    assert fit_figures.picture_error < 0.3 * fit_figures.picture_spread


def test_fitted_latents_are_in_units_of_the_noise(fitted):
    tokenizer, _ = fitted
    frames, maps = tabletop(60, 48, 64)
    latents = tokenizer.encode(frames[None])
    assert latents.std() == pytest.approx(1, abs=0.25)
    assert torch.allclose(
        tokenizer.encode_maps(torch.zeros(1, 1, 8, 8)), torch.zeros(()), atol=1e-4
    )
    warm = tokenizer.encode_maps(maps[None]).square().mean(dim=1)[0]
    warm = warm[maps.unfold(1, 8, 8).unfold(2, 8, 8).amax((-1, -2)) > 0.05]
    assert warm.mean().sqrt() == pytest.approx(0.8, abs=0.3)


def test_a_fitted_code_of_maps_is_undone_by_its_decoder(fitted):
    tokenizer, _ = fitted
    latents = torch.randn(1, 24, 2, 3, 4)
    again = tokenizer.encode_maps(tokenizer.decode_maps(latents))
    torch.testing.assert_close(again, latents, atol=1e-4, rtol=1e-4)


def test_maps_survive_whole_where_a_patch_has_no_more_pixels_than_channels():
    heat = torch.rand(1, 2, 8, 12)
    for channels in (16, 24):
        tokenizer = LinearTokenizer(4, channels)
        latents = tokenizer.encode_maps(heat)
        assert latents.shape == (1, channels, 2, 2, 3)
        torch.testing.assert_close(tokenizer.decode_maps(latents), heat)


def test_a_fit_is_orthonormal_and_repeats_bit_for_bit(fitted):
    tokenizer, fit_figures = fitted
    assert torch.allclose(tokenizer.basis @ tokenizer.basis.T, torch.eye(24), atol=1e-5)
    views = [tabletop(60, 48, 64), tabletop(60, 24, 32, seed=1)]
    again, figures_again = fit(*zip(*views, strict=True), cell_px=8, channels=24)
    assert torch.equal(again.basis, tokenizer.basis)
    assert figures_again == fit_figures


def test_a_fit_without_heat_is_refused():
    frames, maps = tabletop(2, 16, 16)
    with pytest.raises(ValueError, match='maps have no cell warmer than 0.05'):
        fit([frames], [0 * maps], cell_px=8, channels=24)


def test_tokenizer_is_orthonormal_and_keeps_smooth_pictures():
    tokenizer = LinearTokenizer(8, 24)
    torch.testing.assert_close(tokenizer.basis @ tokenizer.basis.T, torch.eye(24))
    ramp = torch.linspace(-1, 1, 32)
    frame = torch.stack(
        [ramp.expand(24, 32), ramp[:24, None].expand(24, 32), -ramp.expand(24, 32)]
    )
    frames = frame.expand(1, 2, 3, 24, 32)
    latents = tokenizer.encode(frames)
    assert latents.shape == (1, 24, 2, 3, 4)
    assert (tokenizer.decode(latents) - frames).abs().max() < 0.05


def test_tokenizer_encodes_a_clip_in_pieces_as_whole():
    tokenizer, frames = LinearTokenizer(8, 24), torch.rand(1, 4, 3, 16, 16)
    pieces = [tokenizer.encode(frames[:, i : i + 1]) for i in range(4)]
    torch.testing.assert_close(torch.cat(pieces, dim=2), tokenizer.encode(frames))


def test_maps_keep_their_peak_and_black_is_zero():
    tokenizer = LinearTokenizer(8, 24)
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(64), indexing='ij')
    heat = torch.exp(-((rows - 21) ** 2 + (columns - 37) ** 2) / 18.0)[None, None]
    decoded = tokenizer.decode_maps(tokenizer.encode_maps(heat))
    row, column = divmod(decoded.argmax().item(), 64)
    assert abs(row - 21) <= 1
    assert abs(column - 37) <= 1
    assert tokenizer.encode_maps(torch.zeros_like(heat)).abs().max() < 1e-5
