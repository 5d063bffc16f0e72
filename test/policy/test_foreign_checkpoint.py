"""Tiny random checkpoints in the layouts of others, read back and turned into ours."""

import dataclasses
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
import yaml
from diffusers import AutoencoderKLWan
from foreign import (
    ROBOT,
    VAE_SIZES,
    WAN,
    WRITERS,
    lingbot_tensors,
    mask_head,
    observation,
    renamed,
    wan_transformer,
    write,
)
from safetensors.torch import load_file, save_file

from aim_policy.checkpoint import load_checkpoint
from aim_policy.checkpoint_cli import main
from aim_policy.checkpoint_convert import convert, start_transformer
from aim_policy.config import ConfigError
from aim_policy.foreign_checkpoint import (
    AIM_TRAINING,
    DIFFUSERS,
    LINGBOT,
    NAMES,
    ORIGINAL,
    STEM,
    recognise,
)
from aim_policy.policy import AimPolicy
from aim_policy.tokenizers import text_cache
from aim_policy.wan.names import as_ours, wan_names
from aim_policy.wan.original import VAE, original_names


@pytest.fixture(scope='module')
def foreign(tmp_path_factory):
    """One tiny random checkpoint of each kind; all have the same video weights."""
    folders = {kind: tmp_path_factory.mktemp('foreign') / 'weights' for kind in WRITERS}
    for kind, folder in folders.items():
        WRITERS[kind](folder)
    return folders


@pytest.mark.parametrize('kind', WRITERS)
def test_each_kind_is_recognised_and_its_video_weights_are_loaded(foreign, kind):
    found = recognise(foreign[kind])
    assert (found.kind, found.layers) == (kind, 2)
    transformer, report = start_transformer(found, WAN)
    expected = wan_transformer().state_dict()
    tensors = transformer.state_dict()
    for ours, theirs in wan_names(2).items():
        assert torch.equal(tensors[ours], as_ours(ours, expected[theirs])), ours
    assert report.loaded == NAMES[kind](2)
    assert report.loaded.keys() | report.initialised.keys() == tensors.keys()
    assert not any(tensor.is_meta for tensor in transformer.parameters())


def test_what_has_no_source_is_grown_or_drawn_and_reported(foreign):
    transformer, report = start_transformer(recognise(foreign[LINGBOT]), WAN)
    tensors = transformer.state_dict()
    how = report.initialised
    assert how['layers.0.attention.value.query.weight'] == 'from x'
    assert how['layers.0.attention.action.query.weight'] == 'from x'
    assert how['heads.ACTION.linear.weight'] == 'zero'
    assert how['embedding.action.0.weight'] == 'at random'
    assert tensors['embedding.action.0.weight'].std() > 0
    assert tensors['heads.ACTION.linear.weight'].abs().max() == 0
    copied = 'layers.1.attention.{}.value.bias'.format
    assert torch.equal(tensors[copied('value')], tensors[copied('video')])
    assert set(report.left_out) == {
        'action_embedder.weight', 'condition_embedder_action.time_proj.bias',
        'action_proj_out.weight',
    }  # fmt: skip
    lines = '\n'.join(report.lines())
    assert 'layers.*.attention.value.query.weight: from x (2 times)' in lines
    assert 'left out: 3 tensors' in lines
    again, _ = start_transformer(recognise(foreign[LINGBOT]), WAN)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in again.state_dict().items())


def test_the_mask_head_is_loaded_where_m_shares_the_weights_of_x(foreign):
    found = recognise(foreign[AIM_TRAINING])
    compact = dataclasses.replace(WAN, own_value_weights=False)
    transformer, report = start_transformer(found, compact)
    assert torch.equal(transformer.heads['VALUE'].linear.weight, mask_head()['weight'])
    assert report.loaded['heads.VALUE.linear.bias'] == 'mask_proj_out.bias'
    transformer, report = start_transformer(found, WAN)
    assert transformer.heads['VALUE'].linear.weight.abs().max() == 0
    assert 'own_value_weights' in report.left_out['mask_proj_out.weight']


def test_new_parts_take_the_type_of_the_weights(tmp_path):
    half = {name: t.bfloat16() for name, t in lingbot_tensors().items()}
    write(tmp_path / 'transformer', 'diffusion_pytorch_model.safetensors', half)
    transformer, _ = start_transformer(recognise(tmp_path), WAN)
    assert {p.dtype for p in transformer.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize('kind', WRITERS)
def test_a_converted_checkpoint_runs(foreign, kind, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(text_cache, 'default_folder', lambda: tmp_path / 'cache')
    (tmp_path / 'wan_test.yaml').write_text(yaml.safe_dump(json.loads(json.dumps(asdict(WAN)))))
    arguments = ['convert', foreign[kind], '--out', tmp_path / 'out', '--licence', 'Apache-2.0']
    arguments += ['--model', tmp_path / 'wan_test.yaml']
    arguments += ['--allow-pickle'] if kind == ORIGINAL else []
    assert main([str(argument) for argument in arguments]) == 0
    assert 'm and a must be trained before use' in capsys.readouterr().out
    loaded = load_checkpoint(tmp_path / 'out', ROBOT)
    assert loaded.info.source == f'{kind}, weights'
    assert len(loaded.info.source_hash) == 64
    views = {view.camera: torch.zeros(1, 1, 3, view.height, view.width) for view in WAN.views}
    assert loaded.model.encode(views).shape == (1, 48, 1, 6, 4)
    vectors = loaded.model.text_encoder.encode('press the bell')
    assert vectors.shape == (12, 32)
    assert vectors[:3].abs().max() > 0
    # All five layouts hold the same weights, the pickled ones too.
    tensors = loaded.model.tokenizer.vae.state_dict()
    torch.manual_seed(1)
    for name, tensor in AutoencoderKLWan(**VAE_SIZES).state_dict().items():
        assert torch.equal(tensors[name], tensor)
    assert main(['inspect', str(tmp_path / 'out')]) == 0
    lines = capsys.readouterr().out
    assert 'kind: aim_policy, format 1' in lines
    assert 'licence: Apache-2.0' in lines
    output = AimPolicy.from_checkpoint(tmp_path / 'out', ROBOT).infer(observation())
    assert np.isfinite(output.chunk.positions).all()
    assert output.value_maps.heat['head_camera'].shape == (2, 240, 320)


def test_inspect_describes_foreign_kinds(foreign, capsys):
    for kind, folder in foreign.items():
        assert main(['inspect', str(folder)]) == 0
        lines = capsys.readouterr().out
        assert f'kind: {kind}, 2 layers' in lines
        assert 'types: F32' in lines
        assert '(2 times)' in lines


def test_original_names_are_those_of_the_release():
    """A few that are known, so that two mistakes in one table cannot cancel out."""
    names = original_names(wan_names(1))
    assert names['layers.0.attention.video.output.bias'] == 'blocks.0.self_attn.o.bias'
    assert names['layers.0.text.norm_key.weight'] == 'blocks.0.cross_attn.norm_k.weight'
    assert names['layers.0.text.norm.weight'] == 'blocks.0.norm3.weight'
    assert names['layers.0.table.video'] == 'blocks.0.modulation'
    assert names['heads.RGB.table'] == 'head.modulation'
    assert names['embedding.time.video.project.weight'] == 'time_projection.1.weight'
    assert len(set(names.values())) == len(names)


KNOWN_VAE_NAMES = {
    'conv1.weight': 'quant_conv.weight',
    'encoder.conv1.bias': 'encoder.conv_in.bias',
    'encoder.head.2.bias': 'encoder.conv_out.bias',
    'encoder.middle.1.to_qkv.weight': 'encoder.mid_block.attentions.0.to_qkv.weight',
    'encoder.downsamples.1.downsamples.0.shortcut.weight':
        'encoder.down_blocks.1.resnets.0.conv_shortcut.weight',
    'encoder.downsamples.0.downsamples.2.resample.1.weight':
        'encoder.down_blocks.0.downsampler.resample.1.weight',
    'decoder.upsamples.1.upsamples.2.residual.6.bias':
        'decoder.up_blocks.1.resnets.2.conv2.bias',
    'decoder.upsamples.0.upsamples.3.time_conv.weight':
        'decoder.up_blocks.0.upsampler.time_conv.weight',
}  # fmt: skip


@pytest.mark.parametrize('name', KNOWN_VAE_NAMES)
def test_vae_names_of_the_release_are_known(name):
    assert list(renamed({name: None}, *VAE.items())) == [KNOWN_VAE_NAMES[name]]


def test_pickled_files_are_not_touched_unless_asked(foreign, tmp_path):
    with pytest.raises(ConfigError, match=r'no vae/, text_encoder/, tokenizer/.*--allow-pickle'):
        convert(foreign[ORIGINAL], tmp_path / 'out', WAN, ROBOT)
    other_parts = foreign[DIFFUSERS]
    convert(foreign[ORIGINAL], tmp_path / 'out', WAN, ROBOT, wan_folder=other_parts)
    assert load_checkpoint(tmp_path / 'out', ROBOT).info.wan_folder == str(other_parts)


class Surprise:
    def __reduce__(self):
        return print, ('code ran',)


def test_a_pickle_with_code_is_refused_and_does_not_run(foreign, tmp_path, capsys):
    folder = tmp_path / 'weights'
    shutil.copytree(foreign[ORIGINAL], folder)
    torch.save({'conv1.weight': Surprise()}, folder / 'Wan2.2_VAE.pth')
    with pytest.raises(ConfigError, match='Wan2.2_VAE.pth: cannot be read as tensors'):
        convert(folder, tmp_path / 'out', WAN, ROBOT, allow_pickle=True)
    assert 'code ran' not in capsys.readouterr().out


def edited(change):
    """What changes the tensors of a folder."""

    def edit(folder):
        file = folder / 'transformer' / f'{STEM}.safetensors'
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)

    return edit


def cut(folder):
    file = folder / 'transformer' / f'{STEM}.safetensors'
    file.write_bytes(file.read_bytes()[:-10])


FOREIGN_MISTAKES = {
    'tensor blocks.1.norm2.bias is missing': edited(lambda t: t.pop('blocks.1.norm2.bias')),
    r'tensor blocks.1.norm2.bias has shape \[3\], expected \[64\]': edited(
        lambda t: t.update({'blocks.1.norm2.bias': torch.zeros(3)})
    ),
    'no diffusion_pytorch_model.safetensors nor its index': lambda folder: (
        shutil.rmtree(folder / 'transformer') or (folder / 'transformer').mkdir()
    ),
    'not a whole safetensors file': cut,
    'no vae/, text_encoder/, tokenizer/, expected in --wan FOLDER': lambda folder: shutil.rmtree(
        folder / 'vae'
    ),
}


@pytest.mark.parametrize('message', FOREIGN_MISTAKES)
def test_a_foreign_checkpoint_that_does_not_fit_is_refused(foreign, tmp_path, message):
    shutil.copytree(foreign[LINGBOT], tmp_path / 'weights')
    FOREIGN_MISTAKES[message](tmp_path / 'weights')
    with pytest.raises(ConfigError, match=message):
        convert(tmp_path / 'weights', tmp_path / 'out', WAN, ROBOT)
    assert not (tmp_path / 'out' / 'aim_config.json').exists()


def test_another_depth_is_refused(foreign, tmp_path):
    deeper = dataclasses.replace(WAN, layers=3)
    with pytest.raises(ConfigError, match='layers is 2, expected 3'):
        convert(foreign[DIFFUSERS], tmp_path, deeper, ROBOT)


def test_folders_that_hold_no_checkpoint_are_refused(tmp_path, capsys):
    with pytest.raises(ConfigError, match='is not a folder'):
        recognise(tmp_path / 'missing')
    with pytest.raises(ConfigError, match='no known checkpoint: found nothing, expected'):
        recognise(tmp_path)
    (tmp_path / 'checkpoint_step_100').mkdir()
    with pytest.raises(ConfigError, match='holds 1 checkpoints, expected one: checkpoint_step_1'):
        recognise(tmp_path)
    write(tmp_path, 'model.safetensors', {'a': torch.zeros(1)})
    (tmp_path / 'config.json').write_text('{"type": "act"}')
    with pytest.raises(ConfigError, match='type is act, expected lingbot_va'):
        recognise(tmp_path)
    assert main(['inspect', str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith('error: ')


def test_a_checkpoint_is_not_converted_over(foreign, tmp_path):
    (tmp_path / 'aim_config.json').touch()
    with pytest.raises(ConfigError, match='holds a checkpoint already'):
        convert(foreign[DIFFUSERS], tmp_path, WAN, ROBOT)
