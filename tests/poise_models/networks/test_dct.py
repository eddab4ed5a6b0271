"""The DCT over a window, and the projection onto its first coefficients."""

import torch
from scipy.fft import dct, idct

from poise_models.networks.dct import dct_matrix, low_pass_matrix


def test_dct_of_a_constant_is_its_gain_alone() -> None:
    transformed = dct_matrix(8) @ torch.ones(8)
    torch.testing.assert_close(transformed, torch.tensor([16.0] + [0.0] * 7), atol=1e-5, rtol=0)


def test_low_pass_projects() -> None:
    matrix = low_pass_matrix(8, 3)
    torch.testing.assert_close(matrix @ matrix, matrix, atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix @ torch.ones(8), torch.ones(8))
    torch.testing.assert_close(low_pass_matrix(8, 8), torch.eye(8), atol=1e-6, rtol=0)


def test_both_are_what_scipy_computes() -> None:
    windows = torch.randn(5, 8, 3, dtype=torch.float64).float()
    transformed = dct(windows.numpy(), axis=1)
    torch.testing.assert_close(
        dct_matrix(8) @ windows, torch.from_numpy(transformed), atol=1e-4, rtol=1e-5
    )
    transformed[:, 3:] = 0
    low = torch.from_numpy(idct(transformed, axis=1))
    torch.testing.assert_close(low_pass_matrix(8, 3) @ windows, low, atol=1e-5, rtol=1e-5)
