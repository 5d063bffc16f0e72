import gc
import hashlib
import weakref
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import UMT5Config, UMT5EncoderModel

from aim_policy.config import ConfigError
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.tokenizers.text import HashedTextEncoder
from aim_policy.tokenizers.text_cache import CachedText
from aim_policy.wan.umt5 import Umt5TextEncoder, umt5_fingerprint

WORDS = ('<pad>', '</s>', '<unk>', 'press', 'the', 'bell', 'lift', 'pot')
TINY_UMT5 = {
    'vocab_size': len(WORDS), 'd_model': 32, 'd_kv': 8, 'd_ff': 48, 'num_layers': 2, 'num_heads': 4
}  # fmt: skip


def write_tokenizer(folder):
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token='<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single='$A </s>', special_tokens=[('</s>', 1)]
    )
    tokenizer.enable_padding(length=20)  # as published files may have it; must not matter
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / 'tokenizer.json'))


@pytest.fixture
def wan_folder(tmp_path):
    torch.manual_seed(0)
    UMT5EncoderModel(UMT5Config(**TINY_UMT5)).save_pretrained(tmp_path / 'text_encoder')
    write_tokenizer(tmp_path / 'tokenizer')
    return tmp_path


def test_vectors_are_those_of_transformers_then_zeros(wan_folder):
    reference = UMT5EncoderModel.from_pretrained(wan_folder / 'text_encoder').eval()
    ids = torch.tensor([[3, 4, 5, 1]])
    with torch.no_grad():
        expected = reference(ids, attention_mask=torch.ones_like(ids))[0][0]
    vectors = Umt5TextEncoder.load(wan_folder, tokens=10).encode(' press  the bell\n')
    assert vectors.shape == (10, 32)
    assert torch.equal(vectors[:4], expected)
    assert torch.count_nonzero(vectors[4:]) == 0


def test_no_instruction_is_an_empty_prompt_also_from_disk(wan_folder, tmp_path):
    reference = UMT5EncoderModel.from_pretrained(wan_folder / 'text_encoder').eval()
    with torch.no_grad():
        end = reference(torch.tensor([[1]]))[0][0]
    load = partial(Umt5TextEncoder.load, wan_folder, tokens=10)
    for encoder in (load(), CachedText(load, 'a', 32, 10, tmp_path / 'cache')):
        assert torch.equal(encoder.empty()[:1], end)
        assert torch.count_nonzero(encoder.empty()[1:]) == 0
        with pytest.raises(ConfigError, match='instruction is "", expected at least one word'):
            encoder.encode('')
    assert torch.count_nonzero(HashedTextEncoder(16, 8).empty()) == 0


@pytest.mark.parametrize('kept', ['shared.weight', 'encoder.embed_tokens.weight'])
def test_the_word_table_is_read_under_either_of_its_names(wan_folder, kept):
    """Loaders that miss one of them run with a random word table and say nothing."""
    file = wan_folder / 'text_encoder' / 'model.safetensors'
    expected = Umt5TextEncoder.load(wan_folder, 10).encode('press the bell')
    tensors = load_file(file)
    table = tensors.pop('shared.weight', None)
    table = tensors.pop('encoder.embed_tokens.weight', table)
    save_file({**tensors, kept: table}, file)
    assert torch.equal(Umt5TextEncoder.load(wan_folder, 10).encode('press the bell'), expected)


@pytest.mark.parametrize(('text', 'message'), [
    (' ... ', r'instruction is " ... ", expected at least one word'),
    ('press the bell', 'has 4 tokens, expected at most 3'),
])  # fmt: skip
def test_an_instruction_that_cannot_be_encoded_is_refused(wan_folder, text, message):
    with pytest.raises(ConfigError, match=message):
        Umt5TextEncoder.load(wan_folder, tokens=3).encode(text)


def test_an_incomplete_encoder_is_refused(wan_folder):
    file = wan_folder / 'text_encoder' / 'model.safetensors'
    tensors = load_file(file)
    lost = tensors.pop('encoder.final_layer_norm.weight')
    save_file(tensors, file)
    with pytest.raises(ConfigError, match='tensor encoder.final_layer_norm.weight is missing'):
        Umt5TextEncoder.load(wan_folder, 10)
    save_file({**tensors, 'encoder.final_layer_norm.weight': lost}, file)
    (wan_folder / 'tokenizer' / 'tokenizer.json').write_text('{}')
    with pytest.raises(ConfigError, match='tokenizer.json: not a tokenizer'):
        Umt5TextEncoder.load(wan_folder, 10)
    (wan_folder / 'tokenizer' / 'tokenizer.json').unlink()
    with pytest.raises(ConfigError, match='tokenizer.json is missing'):
        Umt5TextEncoder.load(wan_folder, 10)
    (wan_folder / 'text_encoder' / 'config.json').write_text('{"model_type": "t5"}')
    with pytest.raises(ConfigError, match='model_type is t5, expected umt5'):
        Umt5TextEncoder.load(wan_folder, 10)


def test_the_fingerprint_follows_weights_and_tokenizer(wan_folder):
    before = umt5_fingerprint(wan_folder)
    assert umt5_fingerprint(wan_folder) == before
    file = wan_folder / 'text_encoder' / 'model.safetensors'
    tensors = load_file(file)
    tensors['encoder.final_layer_norm.weight'] += 1
    save_file(tensors, file)
    other_weights = umt5_fingerprint(wan_folder)
    tokenizer = wan_folder / 'tokenizer' / 'tokenizer.json'
    tokenizer.write_text(tokenizer.read_text().replace('bell', 'ball'))
    assert len({before, other_weights, umt5_fingerprint(wan_folder)}) == 3


class CountedLoads:
    """A loader that counts, and sees whether what it gave is still held."""

    def __init__(self):
        self.count, self.given = 0, None

    def __call__(self):
        encoder = HashedTextEncoder(16, 8)
        self.count, self.given = self.count + 1, weakref.ref(encoder)
        return encoder


def test_each_instruction_is_encoded_once_and_the_encoder_freed(tmp_path):
    load = CountedLoads()
    expected = HashedTextEncoder(16, 8).encode('press the bell')
    text = CachedText(load, 'a', 16, 8, tmp_path)
    assert load.count == 0
    text.prepare(['press the bell', 'lift the pot', 'press the bell'])
    gc.collect()
    assert load.given() is None
    for reader in (text, CachedText(load, 'a', 16, 8, tmp_path)):
        assert torch.equal(reader.encode('press the bell'), expected)
        reader.encode('lift the pot')
    assert load.count == 1
    assert len(list(tmp_path.rglob('*'))) == 3  # a folder of two files, no leftovers


def test_two_encoders_never_share_a_file(tmp_path):
    CachedText(lambda: HashedTextEncoder(16, 8), 'a', 16, 8, tmp_path).prepare(['press'])
    other = CachedText(lambda: HashedTextEncoder(32, 8), 'b', 32, 8, tmp_path)
    assert other.encode('press').shape == (8, 32)


def test_a_damaged_or_foreign_cache_file_is_refused(tmp_path):
    CachedText(lambda: HashedTextEncoder(16, 8), 'a', 16, 8, tmp_path).prepare(['press'])
    wider = CachedText(lambda: HashedTextEncoder(16, 8), 'a', 32, 8, tmp_path)
    with pytest.raises(ConfigError, match=r'text has shape \[8, 16\], expected \[8, 32\]'):
        wider.encode('press')
    (file,) = tmp_path.rglob('*.safetensors')
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ConfigError, match='not a whole safetensors file'):
        CachedText(lambda: HashedTextEncoder(16, 8), 'a', 16, 8, tmp_path).encode('press')


def test_an_instruction_that_fails_leaves_no_file(tmp_path):
    text = CachedText(lambda: HashedTextEncoder(16, 8), 'a', 16, 8, tmp_path)
    with pytest.raises(ConfigError, match='expected at least one word'):
        text.encode(' ')
    assert not list(tmp_path.rglob('*.safetensors'))


def test_a_text_encoder_of_other_sizes_is_refused():
    with pytest.raises(ConfigError, match='text_dim is 32, expected 16 like the text encoder'):
        AimModel(load_model_config('test'), text_encoder=HashedTextEncoder(16, 16))


def test_text_vectors_are_the_same_everywhere():
    """Pinned to bytes of the hash: a trained model meets them again on other machines."""
    vectors = HashedTextEncoder(4, 3).encode('Press')
    halves = [hashlib.shake_256(gram).digest(4) for gram in (b'press', b' press')]
    expected = [(a - 127.5 + b - 127.5) / 73.9 / 2**0.5 for a, b in zip(*halves, strict=True)]
    torch.testing.assert_close(vectors[0], torch.tensor(expected))
    assert vectors[1:].abs().max() == 0


def test_word_order_matters_case_and_stops_do_not():
    encoder = HashedTextEncoder(32, 8)
    said = encoder.encode('Red on blue.')
    assert torch.equal(said, encoder.encode('red on  BLUE'))
    assert not torch.equal(said[2], encoder.encode('on red blue')[2])


def test_empty_or_too_long_text_is_refused():
    """No word is dropped silently."""
    encoder = HashedTextEncoder(32, 3)
    with pytest.raises(ConfigError, match='instruction is " ... ", expected at least one word'):
        encoder.encode(' ... ')
    assert encoder.encode('Press the bell!')[2].abs().max() > 0
    with pytest.raises(ConfigError, match='"Press it .*" has 4 words, expected at most 3'):
        encoder.encode('Press it and wait')
