import pytest
import torch

from aim_policy.model.flow import clean_estimate, euler_step, interpolate, sigma_grid, target


def test_grid_without_shift_is_even():
    torch.testing.assert_close(sigma_grid(4, 1.0), torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]))


def test_shift_follows_its_formula():
    u = 1 - torch.arange(6) / 5
    torch.testing.assert_close(sigma_grid(5, 5.0), 5 * u / (1 + 4 * u))


@pytest.mark.parametrize('shift', [1.0, 3.0, 5.0])
@pytest.mark.parametrize('end', [0.0, 0.6])
def test_grid_falls_from_one_to_its_end(shift, end):
    grid = sigma_grid(3, shift, end)
    assert grid[0] == 1.0
    assert grid[-1].item() == pytest.approx(end, abs=1e-6)
    assert (grid.diff() < 0).all()


def test_path_joins_data_and_noise():
    clean, noise = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.equal(interpolate(clean, noise, 0.0), clean)
    assert torch.equal(interpolate(clean, noise, 1.0), noise)


def test_true_velocity_leads_back_to_the_data_in_any_number_of_steps():
    clean, noise = torch.randn(2, 3), torch.randn(2, 3)
    z, grid = noise, sigma_grid(7, 3.0).tolist()
    for sigma, after in zip(grid, grid[1:], strict=False):
        torch.testing.assert_close(clean_estimate(z, target(clean, noise), sigma), clean)
        z = euler_step(z, target(clean, noise), sigma, after)
    torch.testing.assert_close(z, clean)
