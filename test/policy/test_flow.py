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


def test_a_known_field_is_integrated_to_its_known_end():
    """Data N(2, 0.3^2): the field moves z to 2 + 0.3 z; Euler errs by O(1/N)."""
    mean, spread = 2.0, 0.3
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)

    def velocity(z, sigma):
        variance = (1 - sigma) ** 2 * spread**2 + sigma**2
        slope = (sigma - (1 - sigma) * spread**2) / variance
        return slope * (z - (1 - sigma) * mean) - mean

    errors = []
    for steps in (100, 200, 400):
        z, grid = start, sigma_grid(steps, 3.0).tolist()
        for sigma, after in zip(grid, grid[1:], strict=False):
            z = euler_step(z, velocity(z, sigma), sigma, after)
        errors.append((z - mean - spread * start).abs().max().item())
    assert errors[0] < 0.03
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)
    assert errors[2] / errors[1] == pytest.approx(0.5, abs=0.05)
